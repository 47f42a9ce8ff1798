use neap_map::Anon;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut map = Anon::private(64 * 4096).map()?;
    map.fill(7);
    // Takes the map exclusively: nobody holds a reference to what is lost.
    map.discard(16 * 4096..48 * 4096)?;
    println!("outside: {}, inside: {}", map[0], map[16 * 4096]);
    Ok(())
}
