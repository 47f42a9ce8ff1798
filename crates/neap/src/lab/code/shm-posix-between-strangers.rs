use neap_map::Shm;
use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = "neap-by-hand";
    // With an argument this is the stranger, who knows the name and nothing else.
    if std::env::args().len() > 1 {
        let map = Shm::open(name)?.map()?;
        println!("read {}", String::from_utf8_lossy(&map.read::<[u8; 5]>(0)?));
        map.write_at(0, b"world")?;
        return Ok(());
    }
    let map = Shm::named(name).create(5)?.map()?;
    map.write_at(0, b"hello")?;
    Command::new(std::env::current_exe()?).arg("stranger").status()?;
    println!("found {}", String::from_utf8_lossy(&map.read::<[u8; 5]>(0)?));
    Shm::unlink(name)?;
    Ok(())
}
