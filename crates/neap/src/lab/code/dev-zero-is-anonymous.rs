use neap_map::{Anon, Device};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let zero = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/zero")?;
    // What a driver maps is a Device: a store there could do anything, so one says that it may.
    // SAFETY: (1) the driver of /dev/zero hands out memory, and a store there changes memory only.
    let of_zero = || unsafe { Device::of(&zero, 0..4096).writable() }.map();
    let (first, again) = (of_zero()?, of_zero()?);
    let anonymous = Anon::shared(4096).map()?;
    first.write_u8(0, b'1')?;
    anonymous.write_at(0, b"1")?;
    // Each mmap has a nameless file of its own; only a child gets the same one.
    assert_eq!(again.read_u8(0)?, 0);
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let alike = maps.lines().filter(|line| line.ends_with("/dev/zero (deleted)"));
    println!("{} mappings are called /dev/zero (deleted)", alike.count());
    Ok(())
}
