use neap_map::{Allocation, Memfd, Sealing, Seals};

fn main() -> Result<(), neap_map::Error> {
    let memfd = Memfd::named("by-hand").create(4 * 4096)?;
    let map = memfd.map()?;
    memfd.seal(Seals::SHRINK | Seals::GROW)?;
    println!("shorter: {}", memfd.shrink(4096).unwrap_err());
    println!("longer: {}", memfd.grow(1 << 20, Allocation::Sparse).unwrap_err());
    println!("F_SEAL_WRITE while mapped: {}", memfd.seal(Seals::WRITE).unwrap_err());
    memfd.seal(Seals::FUTURE_WRITE)?;
    map.write_at(0, b"old map")?;
    println!("a new map: {}", memfd.map().unwrap_err());
    map.unmap()?;
    memfd.seal(Seals::WRITE)?;
    memfd.seal(Seals::SEAL)?;
    println!("one more: {}", memfd.seal(Seals::SHRINK).unwrap_err());
    let plain = Memfd::named("by-hand").sealing(Sealing::Refused).create(4096)?;
    println!("without MFD_ALLOW_SEALING: {}", plain.seal(Seals::SHRINK).unwrap_err());
    Ok(())
}
