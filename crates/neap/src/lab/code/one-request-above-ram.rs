use neap_map::Anon;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let all = total("MemTotal:")? + total("SwapTotal:")?;
    println!(
        "as much as there is: {:?}",
        Anon::private(all).map().map(|map| map.len())
    );
    println!(
        "a page more: {:?}",
        Anon::private(all + 4096).map().map(|map| map.len())
    );
    println!(
        "not reserved: {:?}",
        Anon::private(all + 4096).no_reserve().map().map(|map| map.len())
    );
    // Address space without access, of which parts are committed later.
    println!(
        "reserved: {:?}",
        Anon::private(all + 4096).reserve().map(|map| map.len())
    );
    Ok(())
}

/// A line of /proc/meminfo, in bytes.
fn total(name: &str) -> Result<usize, Box<dyn std::error::Error>> {
    let meminfo = std::fs::read_to_string("/proc/meminfo")?;
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .ok_or("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? * 1024)
}
