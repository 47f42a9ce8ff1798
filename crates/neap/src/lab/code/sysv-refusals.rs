use neap_map::sysv::{Key, Segment};

fn main() -> Result<(), neap_map::Error> {
    let key = Key(0x6e65_6170);
    let show = |what: &str, answer: Result<Segment, neap_map::Error>| match answer {
        Ok(_) => println!("{what}: success"),
        Err(error) => println!("{what}: {error}"),
    };
    show("a new segment of 0 bytes", Segment::keyed(key, 0).create());
    show("a key that has none", Segment::open(key));
    let segment = Segment::keyed(key, 4096).create()?;
    show("what there is", Segment::open(key));
    show("4096 bytes", Segment::keyed(key, 4096).open_or_create());
    show("4097 bytes", Segment::keyed(key, 4097).open_or_create());
    segment.remove()?;
    println!("a removed number: {}", segment.attach().map().unwrap_err());
    // shmdt of other memory cannot be written down: only an attachment can be detached.
    Ok(())
}
