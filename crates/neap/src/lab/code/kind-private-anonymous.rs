use neap_map::Anon;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut map = Anon::private(1 << 30).map()?;
    map.fill(b'c');
    // RssAnon has risen. Nobody else can see these bytes: the map is a slice.
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
