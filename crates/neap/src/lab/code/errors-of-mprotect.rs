use std::error::Error;
use std::fs::File;

use neap_map::FileMap;

fn main() -> Result<(), Box<dyn Error>> {
    let file = File::open("/proc/self/exe")?;
    let refused = FileMap::of(&file).map()?.into_writable().unwrap_err();
    println!("{refused}");
    Ok(())
}
