use neap_map::Anon;

/// `sysctl vm.overcommit_ratio=1000 vm.overcommit_memory=2` before; 0 and 50 are usual afterwards.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let meminfo = std::fs::read_to_string("/proc/meminfo")?;
    let limit = meminfo.lines().find_map(|line| line.strip_prefix("CommitLimit:"));
    let limit = limit.ok_or("no CommitLimit")?.trim().trim_end_matches(" kB");
    let half = limit.parse::<usize>()? * 512;
    let first = Anon::private(half).map();
    println!("half of the limit: {:?}", first.as_ref().map(|map| map.len()));
    // In mode 0 each request is looked at by itself; here they add up.
    println!(
        "the other half: {:?}",
        Anon::private(half).map().map(|map| map.len())
    );
    Ok(())
}
