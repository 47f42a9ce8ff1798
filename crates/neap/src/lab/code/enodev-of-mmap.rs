use std::error::Error;
use std::fs::File;

use neap_map::FileMap;

fn main() -> Result<(), Box<dyn Error>> {
    for path in ["/", "/proc/self/status", "/proc/self/mem"] {
        let file = File::open(path)?;
        println!("{path}: {}", FileMap::of(&file).range(0..4096).map().unwrap_err());
    }
    Ok(())
}
