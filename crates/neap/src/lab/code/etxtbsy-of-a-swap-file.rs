use std::error::Error;
use std::fs::File;

use neap_map::FileMap;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("give it the path of a swap file that is in use")?;
    let file = File::options().read(true).write(true).open(path)?;
    println!("{}", FileMap::of(&file).writable().map().unwrap_err());
    Ok(())
}
