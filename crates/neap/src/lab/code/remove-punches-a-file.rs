use neap_map::FileMap;
use neap_os::fd::{Fd, FileRange};
use neap_os::page_cache::{self, Use};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

/// A file of so many pages of `a`, on disk and not in the page cache.
fn cold_file(pages: usize) -> std::io::Result<File> {
    let path = std::env::temp_dir().join(format!("file-{}", std::process::id()));
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)?;
    std::fs::remove_file(path)?;
    file.write_all(&vec![b'a'; pages * 4096])?;
    file.sync_all()?;
    page_cache::advise(Fd(file.as_raw_fd()), FileRange::ALL, Use::DontNeed)
        .map_err(|e| std::io::Error::from_raw_os_error(e.0))?;
    Ok(file)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = cold_file(64)?;
    let map = FileMap::of(&file).writable().map()?;
    println!(
        "{} bytes, {} blocks",
        file.metadata()?.len(),
        file.metadata()?.blocks()
    );
    map.punch(16 * 4096..48 * 4096)?;
    println!(
        "{} bytes, {} blocks",
        file.metadata()?.len(),
        file.metadata()?.blocks()
    );
    println!(
        "outside: {}, inside: {}",
        map.read::<u8>(0)?,
        map.read::<u8>(16 * 4096)?
    );
    Ok(())
}
