use neap_map::Shm;
use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = "neap-by-hand";
    // With an argument this is the maker.
    if std::env::args().len() > 1 {
        Shm::named(name).create(16 * 4096)?.map()?.fill(.., b'c')?;
        return Ok(());
    }
    Command::new(std::env::current_exe()?).arg("make").status()?;
    let shm = Shm::open(name)?;
    let byte: u8 = shm.map()?.read(0)?;
    println!("its maker has ended: {byte}, {} bytes of memory", shm.stat()?.allocated);
    // What processes that were killed have left, all at once.
    drop(shm);
    println!("{:?}", Shm::reap_stale(name)?.removed);
    Ok(())
}
