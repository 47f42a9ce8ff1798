use neap_map::FileMap;
use std::os::unix::fs::FileExt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args()
        .nth(1)
        .ok_or("which file? (it becomes two pages long)")?;
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(name)?;
    file.set_len(2 * 4096)?;
    // No slice: what was not stored to still shows the file.
    let map = FileMap::of(&file).copy_on_write().map()?;
    assert_eq!(map.read::<u8>(0)?, 0);
    map.write_at(4096 + 1, b"s")?;
    file.write_all_at(b"b", 0)?;
    file.write_all_at(b"b", 4096)?;
    assert_eq!(map.read::<u8>(0)?, b'b');
    assert_eq!(map.read::<u8>(4096)?, 0);
    Ok(())
}
