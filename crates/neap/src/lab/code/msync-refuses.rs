use neap_map::FileMap;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).ok_or("which file? (it is overwritten)")?;
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(name)?;
    file.set_len(16 * 4096)?;
    let map = FileMap::of(&file).writable().map()?;
    // Any range will do: the library rounds to pages. A hole cannot be in a map.
    map.flush(1..2)?;
    let error = map.flush(0..17 * 4096).unwrap_err();
    println!("{error}");
    Ok(())
}
