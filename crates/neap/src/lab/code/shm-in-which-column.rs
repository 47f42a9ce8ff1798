use neap_map::{Allocation, Shm};
use std::fs::read_to_string;

fn show(when: &str) -> std::io::Result<()> {
    println!("{when}");
    let info = read_to_string("/proc/meminfo")? + &read_to_string("/proc/self/status")?;
    let lines = info.lines().filter(|line| line.starts_with("Shmem:") || line.starts_with("Rss"));
    lines.for_each(|line| println!("  {line}"));
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = "neap-by-hand";
    let shm = Shm::named(name).allocation(Allocation::Sparse).create(32 << 20)?;
    let map = shm.map()?;
    show("before")?;
    map.fill(.., 1)?;
    show("written")?;
    drop((map, shm));
    show("unmapped and closed: still there")?;
    Shm::unlink(name)?;
    show("removed")?;
    Ok(())
}
