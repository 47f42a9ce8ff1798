use std::error::Error;
use std::fs;

use neap_map::Anon;

fn main() -> Result<(), Box<dyn Error>> {
    let map = Anon::private(3 * 4096).map()?;
    map.set_name(c"by hand")?;
    let maps = fs::read_to_string("/proc/self/maps")?;
    for line in maps.lines().filter(|line| line.ends_with("[anon:by hand]")) {
        println!("{line}");
    }
    map.clear_name()?;
    Ok(())
}
