use neap_map::sysv::{Key, Segment};
use neap_map::{Mode, Owner};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// As root.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = Key(0x6e65_6170);
    // With an argument this is the other user, who may know the number.
    if let Some(number) = std::env::args().nth(1) {
        let segment = Segment::of(neap_map::sysv::Id(number.parse()?));
        println!("shmget: {:?}", Segment::open(key));
        println!("reading: {:?}", segment.attach().read_only().map());
        println!("writing: {:?}", segment.attach().map());
        println!("removing: {:?}", segment.remove());
        return Ok(());
    }
    let segment = Segment::keyed(key, 4096).create()?;
    let number = segment.id().0.to_string();
    let other = || Command::new("/proc/self/exe").arg(&number).uid(65534).gid(65534).status();
    other()?;
    segment.set(Owner { uid: 0, gid: 0 }, Mode::new(0o644).expect("nine bits"))?;
    other()?;
    segment.remove()?;
    Ok(())
}
