use neap_map::Anon;

fn main() -> Result<(), neap_map::Error> {
    // neap-map never replaces what is mapped: a place is either free or an error.
    let map = Anon::private(4096).map()?;
    let place = map.as_ptr().addr();
    println!("{}", Anon::private(4096).at(place).map().unwrap_err());
    println!("{}", Anon::private(4096).at(place + 1).map().unwrap_err());
    Ok(())
}
