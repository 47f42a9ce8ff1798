use std::error::Error;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;

use neap_map::FileMap;

const O_PATH: i32 = 0o10_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    // A closed descriptor cannot be named: a file is borrowed. One of O_PATH can.
    let path = OpenOptions::new().read(true).custom_flags(O_PATH).open("/proc/self/exe")?;
    println!("{}", FileMap::of(&path).map().unwrap_err());
    Ok(())
}
