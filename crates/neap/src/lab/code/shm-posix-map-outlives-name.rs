use neap_map::Shm;

fn main() -> Result<(), neap_map::Error> {
    let name = "neap-by-hand";
    let map = Shm::named(name).create(4096)?.map()?;
    map.write_at(0, b"a")?;
    Shm::unlink(name)?;
    println!("without name and descriptor: {}", map.read::<u8>(0)?);
    let other = Shm::named(name).create(4096)?;
    println!("a new object of that name: {}", other.map()?.read::<u8>(0)?);
    Shm::unlink(name)
}
