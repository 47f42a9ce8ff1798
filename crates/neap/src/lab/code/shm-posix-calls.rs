use neap_map::{Mode, NewOwner, Shm};

fn main() -> Result<(), neap_map::Error> {
    let name = "neap-by-hand";
    // Nobody finds it before it has its length and its memory.
    let shm = Shm::named(name).create(16 * 4096)?;
    let map = shm.map()?;
    map.fill(.., b'n')?;
    shm.set_mode(Mode::new(0o640).expect("nine bits"))?;
    shm.set_owner(NewOwner::User(shm.stat()?.owner.uid))?;
    println!("{:?}", shm.stat()?);
    drop(shm);
    println!("after close: {}", map.read::<u8>(16 * 4096 - 1)?);
    map.unmap()?;
    println!("unlink: {:?}", Shm::unlink(name));
    println!("once more: {}", Shm::unlink(name).unwrap_err());
    Ok(())
}
