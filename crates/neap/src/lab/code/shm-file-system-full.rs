use neap_map::{Allocation, FileMap};
use std::fs::File;

/// Name it a new file on a small tmpfs, such as one of
/// `unshare -m sh -c 'mount -t tmpfs -o size=1m none /mnt && PROGRAM /mnt/object'`.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("name a new file on a small tmpfs")?;
    let file = File::options().read(true).write(true).create_new(true).open(path)?;
    println!("how memory is taken: {:?} or {:?}", Allocation::UpFront, Allocation::Sparse);
    file.set_len(2 << 20)?;
    let map = FileMap::of(&file).writable().map()?;
    for page in 0..512 {
        // Says where there was no room, instead of SIGBUS.
        if let Err(error) = map.write_at(page * 4096, &[1]) {
            println!("after {page} pages: {error}");
            break;
        }
    }
    Ok(())
}
