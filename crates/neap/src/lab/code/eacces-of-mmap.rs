use std::error::Error;
use std::fs::File;

use neap_map::FileMap;

fn main() -> Result<(), Box<dyn Error>> {
    let file = File::open("/etc/hostname")?;
    println!("{}", FileMap::of(&file).writable().map().unwrap_err());
    let copy = FileMap::of(&file).copy_on_write().map()?;
    println!("{} bytes of a private copy", copy.len());
    Ok(())
}
