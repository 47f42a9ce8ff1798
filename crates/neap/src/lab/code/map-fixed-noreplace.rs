use neap_map::{Anon, Kind};

fn main() -> Result<(), neap_map::Error> {
    let room = Anon::private(3 * 4096).map()?;
    let place = room.as_ptr().addr() + 4096;
    drop(room);
    let mut map = Anon::private(4096).at(place).map()?;
    map[0] = 7;
    let refused = Anon::private(4096).at(place).map().unwrap_err();
    assert_eq!((refused.kind(), map[0]), (Kind::Occupied, 7));
    println!("{refused}");
    Ok(())
}
