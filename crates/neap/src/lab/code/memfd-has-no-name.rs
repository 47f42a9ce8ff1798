use neap_map::Memfd;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (one, two) = (Memfd::named("by-hand").create(4096)?, Memfd::named("by-hand").create(4096)?);
    let (first, second) = (one.map()?, two.map()?);
    first.write_at(0, b"1")?;
    println!("the other: {}", second.read::<u8>(0)?);
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    maps.lines().filter(|line| line.contains("memfd:")).for_each(|line| println!("{line}"));
    Ok(())
}
