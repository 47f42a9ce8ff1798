use neap_map::FileMap;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Run it twice at the same time with the same file.
    let name = std::env::args()
        .nth(1)
        .ok_or("which file? (it becomes a page long)")?;
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(name)?;
    file.set_len(4096)?;
    let map = FileMap::of(&file).writable().map()?;
    let before: u32 = map.read(0)?;
    map.write(0, &std::process::id())?;
    println!("{before} was here before; now it is {}", std::process::id());
    Ok(())
}
