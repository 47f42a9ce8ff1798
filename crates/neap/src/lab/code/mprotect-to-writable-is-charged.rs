use std::fs;

use neap_map::Anon;

fn committed_kb() -> i64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("Committed_AS:"));
    line.and_then(|rest| rest.trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

fn main() -> Result<(), neap_map::Error> {
    let start = committed_kb();
    let room = Anon::private(1 << 30).reserve()?;
    let reserved = committed_kb();
    let map = room.commit()?;
    println!("reserve: {:+} kB, commit: {:+} kB", reserved - start, committed_kb() - reserved);
    drop(map);
    Ok(())
}
