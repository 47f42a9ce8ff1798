use neap_map::sysv::{Key, Segment};

fn main() -> Result<(), neap_map::Error> {
    let key = Key(0x6e65_6170);
    let segment = Segment::keyed(key, 4096).create()?;
    let one = segment.attach().map()?;
    one.write_at(0, b"dest")?;
    segment.remove()?;
    let stat = segment.stat()?;
    println!("removed {}, attachments {}", stat.removed, stat.attachments);
    let two = segment.attach().map()?;
    println!("by its number: {}", String::from_utf8_lossy(&two.read::<[u8; 4]>(0)?));
    let other = Segment::keyed(key, 4096).create()?;
    println!("another with the key: {}", other != segment);
    other.remove()?;
    one.detach()?;
    two.detach()?;
    println!("after the last detach: {}", segment.stat().unwrap_err());
    Ok(())
}
