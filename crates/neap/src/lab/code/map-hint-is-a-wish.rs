use neap_map::Anon;

fn main() -> Result<(), neap_map::Error> {
    let first = Anon::private(4096).map()?;
    let place = first.as_ptr().addr();
    let second = Anon::private(4096).near(place).map()?;
    assert_ne!(second.as_ptr().addr(), place);
    drop(first);
    let third = Anon::private(4096).near(place).map()?;
    let is_there = third.as_ptr().addr() == place;
    println!("occupied: elsewhere; free: {}", if is_there { "there" } else { "elsewhere" });
    Ok(())
}
