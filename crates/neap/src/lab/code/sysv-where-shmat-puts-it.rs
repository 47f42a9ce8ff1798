use neap_map::Anon;
use neap_map::sysv::Segment;

fn main() -> Result<(), neap_map::Error> {
    let segment = Segment::private(4096).create()?;
    let pin = segment.attach().map()?;
    segment.remove()?;
    let room = Anon::private(16 * 4096).reserve()?;
    let place = room.as_ptr().addr() + 8 * 4096;
    println!("onto what is mapped: {}", segment.attach().at(place).map().unwrap_err());
    let (over, rest) = segment.attach().map_over(room)?;
    println!("over a reservation: {:p}, {} bytes of it are left", over.as_ptr(), rest.len());
    drop(rest);
    println!("a byte behind: {}", segment.attach().at(place + 1).map().unwrap_err());
    let rounded = segment.attach().rounded(place + 1).map()?;
    println!("rounded: {place:#x} {:p}", rounded.as_ptr());
    drop(pin);
    Ok(())
}
