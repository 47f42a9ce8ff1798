use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt;

fn main() -> std::io::Result<()> {
    // Rust's buffers are its own: LineWriter has 1024 bytes, BufWriter 8192, whatever the file wants.
    let file = File::options().write(true).open("/dev/null")?;
    let wanted = file.metadata()?.blksize();
    let mut out = BufWriter::new(file);
    out.write_all(b"x")?;
    println!("st_blksize {wanted}, the buffer has {}", out.capacity());
    Ok(())
}
