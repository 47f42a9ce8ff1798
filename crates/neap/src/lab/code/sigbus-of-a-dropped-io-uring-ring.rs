use std::error::Error;
use std::fs::File;

use neap_map::Device;

fn main() -> Result<(), Box<dyn Error>> {
    // A driver's memory has no advice that drops it here; and what no driver stands behind is refused.
    let null = File::open("/dev/null")?;
    println!("{}", Device::of(&null, 0..4096).map().unwrap_err());
    Ok(())
}
