//! Tells systemd that the server is ready, and that it stops (sd_notify(3), `Type=notify`).
//!
//! One datagram to the socket that NOTIFY_SOCKET names; without it nothing is said. Whether anybody listens
//! makes no difference to the server.

use std::env;
use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

pub(crate) fn ready() {
    tell(b"READY=1");
}

pub(crate) fn stopping() {
    tell(b"STOPPING=1");
}

fn tell(state: &[u8]) {
    let socket = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
    if let Some(socket) = socket {
        // A supervisor that does not listen will find out by its own timeout.
        let _ = send(&socket, state);
    }
}

fn send(socket: &OsString, state: &[u8]) -> std::io::Result<usize> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state, &address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_arrives_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let abstract_name = format!("neap-notify-{}", std::process::id());
        let by_path = UnixDatagram::bind(&path).unwrap();
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        for (socket, name) in [
            (by_path, path.into_os_string()),
            (by_name, format!("@{abstract_name}").into()),
        ] {
            send(&name, b"READY=1").unwrap();
            let mut bytes = [0; 16];
            let len = socket.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..len], b"READY=1");
        }
        assert!(send(&folder.path().join("none").into_os_string(), b"").is_err());
    }
}
