use neap_map::FileMap;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).ok_or("which file?")?;
    let file = std::fs::File::open(name)?;
    let map = FileMap::of(&file).copy_on_write().map()?;
    map.fill(.., b'c')?;
    // RssAnon has risen: each page is a copy, and the file is as it was.
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
