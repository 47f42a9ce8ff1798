use std::error::Error;
use std::fs;

use neap_map::Anon;

fn main() -> Result<(), Box<dyn Error>> {
    let map = Anon::private(1 << 20).stack().map()?;
    let start = format!("{:x}-", map.as_ptr().addr());
    let smaps = fs::read_to_string("/proc/self/smaps")?;
    let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&start));
    println!("{}", lines.find(|line| line.starts_with("VmFlags")).unwrap_or_default());
    Ok(())
}
