use neap_map::Anon;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let map = Anon::shared(8 * 4096).map()?;
    map.fill(.., 7)?;
    map.guard(4 * 4096..5 * 4096)?;
    println!("{}", map.read::<u8>(4 * 4096).unwrap_err());
    println!("its neighbour: {}", map.read::<u8>(3 * 4096)?);
    map.discard(..)?;
    println!("after DONTNEED: {}", map.read::<u8>(4 * 4096).unwrap_err());
    map.unguard(..)?;
    println!("removed: {}", map.read::<u8>(4 * 4096)?);
    Ok(())
}
