use neap_map::{Allocation, Shm};

fn main() -> Result<(), neap_map::Error> {
    let name = "neap-by-hand";
    let shm = Shm::named(name).create(4096)?;
    let reader = Shm::open_read_only(name)?;
    Shm::unlink(name)?;
    let view = reader.file_map().map()?;
    shm.map()?.write_at(0, b"x")?;
    println!("for reading: {}", view.read::<u8>(0)?);
    println!("shared, for writing: {}", reader.map().unwrap_err());
    let copy = reader.file_map().copy_on_write().map()?;
    copy.write_at(0, b"y")?;
    println!("private: {}, and the object {}", copy.read::<u8>(0)?, view.read::<u8>(0)?);
    println!("ftruncate: {}", reader.set_len(0, Allocation::Sparse).unwrap_err());
    Ok(())
}
