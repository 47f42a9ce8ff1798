use neap_map::sysv::{Key, Segment};

fn main() -> Result<(), neap_map::Error> {
    let key = Key(0x6e65_6170);
    let segment = Segment::keyed(key, 10_000).create()?;
    println!("again: {}", Segment::keyed(key, 10_000).create().unwrap_err());
    println!("the same number: {}", Segment::open(key)? == segment);
    let one = segment.attach().map()?;
    let two = segment.attach().read_only().map()?;
    one.write_at(9999, b"!")?;
    println!("read {}", two.read::<u8>(9999)?);
    println!("attached {} times", segment.stat()?.attachments);
    one.detach()?;
    two.detach()?;
    segment.remove()?;
    println!("removed: {}", Segment::open(key).unwrap_err());
    Ok(())
}
