use neap_map::{Allocation, Shm};

fn main() -> Result<(), neap_map::Error> {
    let name = "neap-by-hand";
    let shm = Shm::named(name).create(4096)?;
    Shm::unlink(name)?;
    let map = shm.map()?;
    println!("4096 bytes: {}", map.read::<u8>(0)?);
    shm.set_len(0, Allocation::Sparse)?;
    // A volatile map's reads answer where a reference would raise SIGBUS.
    println!("0 bytes: {}", map.read::<u8>(0).unwrap_err());
    shm.set_len(1, Allocation::UpFront)?;
    println!("1 byte: {}", map.read::<u8>(0)?);
    Ok(())
}
