use neap_map::{Anon, Discard, FileMap};
use neap_os::fd::{Fd, FileRange};
use neap_os::page_cache::{self, Use};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;

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
    // FREE is for private memory: for a shared map there is no such method but the unchecked one.
    let shared = Anon::shared(4096).map()?;
    println!(
        "{}",
        // SAFETY: (1) nothing refers to the map's bytes.
        unsafe { shared.discard_unchecked(.., Discard::Free) }.unwrap_err()
    );
    let private = Anon::private(4096).map()?;
    println!(
        "{}",
        // SAFETY: (1) nothing needs the bytes.
        unsafe { private.discard_unchecked(.., Discard::Remove) }.unwrap_err()
    );
    let file = cold_file(1)?;
    println!(
        "{}",
        FileMap::of(&file).copy_on_write().map()?.punch(..).unwrap_err()
    );
    Ok(())
}
