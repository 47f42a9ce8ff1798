use neap_map::Growable;
use std::fs::File;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // neap-map has no MAP_GROWSDOWN: memory that grows by accident cannot be bounded. What grows is asked to.
    let path = std::env::temp_dir().join("grows-by-hand");
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    let grown = Growable::open(&file, 1 << 20)?;
    grown.append(b"as far as its capacity")?;
    println!("{} of {} bytes", grown.len(), grown.capacity());
    println!("{}", grown.grow_to(2 << 20).unwrap_err());
    std::fs::remove_file(path)?;
    Ok(())
}
