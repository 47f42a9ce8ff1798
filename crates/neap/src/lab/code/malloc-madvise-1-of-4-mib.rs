use std::fs;

use neap_map::Anon;

fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1);
    pages.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn main() -> Result<(), neap_map::Error> {
    // A map of one's own, of which the first MiB is given up: unmapped, since nothing else can be got wrong.
    let mut four = Anon::private(4 << 20).map()?;
    four.fill(1);
    let before = resident();
    let (_low, _rest) = four.unmap_range(0..1 << 20)?;
    println!("{} pages less", before - resident());
    Ok(())
}
