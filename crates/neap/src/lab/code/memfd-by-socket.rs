use neap_map::{Memfd, parcel};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // With an argument this is the maker: its standard output is the socket.
    if std::env::args().len() > 1 {
        let memfd = Memfd::named("by-hand").create(4096)?;
        memfd.map()?.write_at(0, b"from a child")?;
        parcel::send(std::io::stdout(), b"m", &[memfd.as_fd()])?;
        return Ok(());
    }
    let (here, there) = UnixStream::pair()?;
    let mut maker = Command::new(std::env::current_exe()?);
    maker.arg("make").stdout(Stdio::from(OwnedFd::from(there))).status()?;
    drop(maker);
    let arrived = parcel::receive(&here, &mut [0])?.ok_or("nothing was sent")?;
    let file = arrived.descriptors.into_iter().next().ok_or("no descriptor")?;
    let memfd = Memfd::try_from(file).map_err(|refused| refused.error())?;
    let bytes: [u8; 12] = memfd.map()?.read(0)?;
    println!("its maker has ended: {}", String::from_utf8_lossy(&bytes));
    Ok(())
}
