use std::fs;

use neap_map::Anon;

fn committed_kb() -> i64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("Committed_AS:"));
    line.and_then(|rest| rest.trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

fn main() -> Result<(), neap_map::Error> {
    let before = committed_kb();
    let _plain = Anon::private(1 << 30).map()?;
    let charged = committed_kb();
    let _free = Anon::private(1 << 30).no_reserve().map()?;
    println!("plain: {:+} kB, no_reserve: {:+} kB", charged - before, committed_kb() - charged);
    Ok(())
}
