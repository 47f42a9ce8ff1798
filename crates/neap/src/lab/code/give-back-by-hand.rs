use std::fs;

use neap_map::Anon;

fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1);
    pages.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) * 4
}

fn main() -> Result<(), neap_map::Error> {
    // A buffer whose pages come and go is better a map than a Vec: malloc knows nothing of its pages.
    let mut buffer = Anon::private(64 << 20).map()?;
    buffer.fill(1);
    println!("written: {} kB", resident());
    drop(buffer);
    println!("dropped: {} kB", resident());
    Ok(())
}
