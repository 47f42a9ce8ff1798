use neap_map::{Allocation, Memfd};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = Memfd::named("by-hand")
        .allocation(Allocation::Sparse)
        .create(1 << 30)?;
    let map = file.map()?;
    map.fill(.., b'c')?;
    rss()?;
    drop(map);
    // Shmem of /proc/meminfo has not fallen yet: the file has its memory.
    rss()?;
    drop(file);
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
