use neap_map::FileMap;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).ok_or("which file? (it is overwritten)")?;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(name)?;
    let map = FileMap::of(&file).writable().map()?;
    map.fill(.., b'c')?;
    // RssFile has risen: the pages are the page cache's own.
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
