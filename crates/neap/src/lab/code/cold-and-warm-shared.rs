use neap_map::{CacheStat, FileMap};
use neap_os::fd::{Fd, FileRange};
use neap_os::page_cache::{Use, advise};
use std::os::fd::AsRawFd;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).ok_or("which file? (it is changed)")?;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(name)?;
    // Only what the disk has can go from the cache.
    file.sync_data()?;
    let told = advise(Fd(file.as_raw_fd()), FileRange::ALL, Use::DontNeed);
    told.map_err(|errno| errno.to_string())?;
    let map = FileMap::of(&file).writable().map()?;
    println!(
        "in the cache before: {} bytes",
        CacheStat::of(&file, ..)?.cached()
    );
    for at in (0..map.len()).step_by(4096) {
        map.write_at(at, b"c")?;
    }
    println!("in the cache after: {} bytes", CacheStat::of(&file, ..)?.cached());
    Ok(())
}
