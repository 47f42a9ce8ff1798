use neap_map::Anon;

fn main() -> Result<(), neap_map::Error> {
    let map = Anon::private(3 * 4096).map()?;
    // A map knows its length and is gone when it is unmapped: length 0, a part of a page and a second time
    // are errors or cannot be written down.
    let refused = map.unmap_range(1..4096).unwrap_err();
    println!("{}", refused.error());
    let (first, last) = refused.into_inner().unmap_range(4096..8192)?;
    println!("{} and {} bytes are left", first.len(), last.len());
    Ok(())
}
