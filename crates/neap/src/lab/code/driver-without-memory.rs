use neap_map::Device;
use std::fs::File;
use std::os::fd::AsFd;

fn attempt(what: &str, file: impl AsFd) {
    match Device::of(&file, 0..4096).map() {
        Ok(map) => println!("{what}: {map:?}"),
        Err(error) => println!("{what}: {error}"),
    }
}

fn main() -> std::io::Result<()> {
    attempt("a pipe", std::io::pipe()?.0);
    attempt("a socket", std::net::UdpSocket::bind("127.0.0.1:0")?);
    attempt("/dev/null", File::open("/dev/null")?);
    attempt("/dev/zero", File::open("/dev/zero")?);
    Ok(())
}
