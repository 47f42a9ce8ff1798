use neap_map::{CacheStat, FileMap};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).ok_or("which file? (it is overwritten)")?;
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(name)?;
    file.set_len(1024 * 4096)?;
    let map = FileMap::of(&file).writable().map()?;
    map.fill(.., b'd')?;
    println!("stored: {} bytes are dirty", CacheStat::of(&file, ..)?.dirty());
    map.flush(..512 * 4096)?;
    println!("half: {} bytes are dirty", CacheStat::of(&file, ..)?.dirty());
    map.flush(..)?;
    println!("all: {} bytes are dirty", CacheStat::of(&file, ..)?.dirty());
    Ok(())
}
