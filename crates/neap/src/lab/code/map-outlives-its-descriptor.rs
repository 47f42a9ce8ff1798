use neap_map::FileMap;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args()
        .nth(1)
        .ok_or("which file? (a new one; it is removed)")?;
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&name)?;
    file.set_len(4096)?;
    let map = FileMap::of(&file).writable().map()?;
    drop(file);
    std::fs::remove_file(name)?;
    map.write_at(0, b"b")?;
    assert_eq!(map.read::<u8>(0)?, b'b');
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    for line in maps.lines().filter(|line| line.ends_with("(deleted)")) {
        println!("{line}");
    }
    Ok(())
}
