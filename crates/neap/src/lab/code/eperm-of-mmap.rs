use std::error::Error;
use std::fs::File;

use neap_map::{FileMap, Memfd, Seals};

fn main() -> Result<(), Box<dyn Error>> {
    let memfd = Memfd::named("sealed").create(4096)?;
    memfd.seal(Seals::WRITE)?;
    println!("{}", memfd.map().unwrap_err());
    let status = File::open("/proc/self/status")?;
    println!("{}", FileMap::of(&status).range(0..4096).executable().map().unwrap_err());
    Ok(())
}
