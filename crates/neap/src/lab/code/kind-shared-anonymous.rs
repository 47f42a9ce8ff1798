use neap_map::Anon;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let map = Anon::shared(1 << 30).map()?;
    map.fill(.., b'c')?;
    // RssShmem has risen. A child could store there: the map is no slice.
    rss()?;
    Ok(())
}

/// The kinds of Rss of this process.
fn rss() -> std::io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    for line in status.lines().filter(|line| line.starts_with("Rss")) {
        println!("{line}");
    }
    Ok(())
}
