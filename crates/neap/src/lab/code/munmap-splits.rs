use neap_map::{Anon, Guards};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Guards keep neighbours from merging with it, which would change the count.
    let mut map = Anon::private(16 * 4096).guards(Guards::Both).map()?;
    map.fill(7);
    let before = lines()?;
    let (first, last) = map.unmap_range(4 * 4096..12 * 4096)?;
    println!("{} lines of maps more", lines()? - before);
    assert!(first.iter().chain(last.iter()).all(|&byte| byte == 7));
    Ok(())
}

fn lines() -> std::io::Result<usize> {
    Ok(std::fs::read_to_string("/proc/self/maps")?.lines().count())
}
