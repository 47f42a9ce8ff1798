use neap_map::FileMap;
use std::os::unix::fs::FileExt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args()
        .nth(1)
        .ok_or("which file? (it becomes a page long)")?;
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(name)?;
    file.set_len(4096)?;
    let map = FileMap::of(&file).writable().map()?;
    map.write_at(9, b"b")?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, 9)?;
    assert_eq!(byte, *b"b");
    file.write_all_at(b"c", 9)?;
    assert_eq!(map.read::<u8>(9)?, b'c');
    Ok(())
}
