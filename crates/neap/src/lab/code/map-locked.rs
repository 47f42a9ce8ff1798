use neap_map::Anon;

fn main() -> Result<(), neap_map::Error> {
    let map = Anon::private(65536).locked().map()?;
    let residency = map.residency(..)?;
    println!("{:?} pages of {} bytes are in memory before a touch", residency.resident(), map.len());
    Ok(())
}
