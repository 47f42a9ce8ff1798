use neap_map::{Mode, NewOwner, Shm};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// As root.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = "neap-by-hand";
    // With an argument this is the other user.
    if std::env::args().len() > 1 {
        println!("for reading: {:?}", Shm::open_read_only(name).map(|_| ()));
        println!("for writing: {:?}", Shm::open(name).map(|_| ()));
        println!("unlink: {:?}", Shm::unlink(name));
        return Ok(());
    }
    let other = || {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("other").uid(65534).gid(65534).status()
    };
    let shm = Shm::named(name).create(4096)?;
    other()?;
    shm.set_mode(Mode::new(0o644).expect("nine bits"))?;
    other()?;
    shm.set_owner(NewOwner::User(65534))?;
    other()?;
    Ok(())
}
