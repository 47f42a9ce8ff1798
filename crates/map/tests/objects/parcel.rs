//! Descriptors that go to another process.

use crate::child::{in_child, limit};
use neap_map::{Kind, Memfd, Seals, parcel};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Command;

const CHILD: &str = "NEAP_MAP_TEST_SOCKET";

/// The same program, started anew: it has nothing of ours but standard input.
fn start(test: &str, socket: OwnedFd) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "0")
        .stdin(socket)
        .spawn()
        .unwrap()
}

/// The socket, if this process is the one started by [`start`].
fn own_socket() -> Option<OwnedFd> {
    std::env::var(CHILD).ok()?;
    Some(std::io::stdin().as_fd().try_clone_to_owned().unwrap())
}

fn packets() -> (OwnedFd, OwnedFd) {
    socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap()
}

#[test]
fn two_programs_share_a_memfd_by_a_socket() {
    if let Some(socket) = own_socket() {
        let mut message = [0; 100];
        let mut parcel = parcel::receive(&socket, &mut message).unwrap().unwrap();
        assert_eq!(&message[..parcel.message], b"two");
        let second = Memfd::try_from(parcel.descriptors.pop().unwrap()).unwrap();
        let first = Memfd::try_from(parcel.descriptors.pop().unwrap()).unwrap();
        assert_eq!(first.map().unwrap().read::<[u8; 5]>(0).unwrap(), *b"hello");
        assert_eq!(second.map().unwrap_err().kind(), Kind::SealedAgainst);
        first.map().unwrap().write_at(0, b"reply").unwrap();
        return parcel::send(&socket, b"done", &[]).unwrap();
    }
    for (here, there) in [
        packets(),
        UnixStream::pair().map(|(a, b)| (a.into(), b.into())).unwrap(),
    ] {
        let mut other = start("parcel::two_programs_share_a_memfd_by_a_socket", there);
        let first = Memfd::named("first").create(4096).unwrap();
        let map = first.map().unwrap();
        map.write_at(0, b"hello").unwrap();
        let second = Memfd::named("second").create(4096).unwrap();
        second.seal(Seals::WRITE).unwrap();
        parcel::send(&here, b"two", &[first.as_fd(), second.as_fd()]).unwrap();
        let mut message = [0; 4];
        let parcel = parcel::receive(&here, &mut message).unwrap().unwrap();
        assert_eq!((&message, parcel.descriptors.len()), (b"done", 0));
        assert_eq!(map.read::<[u8; 5]>(0).unwrap(), *b"reply");
        assert!(other.wait().unwrap().success());
        assert!(
            parcel::receive(&here, &mut message).unwrap().is_none(),
            "it has ended"
        );
        assert_eq!(
            parcel::send(&here, b"x", &[]).unwrap_err().kind(),
            Kind::Disconnected
        );
    }
}

#[test]
fn what_arrives_is_closed_on_exec_and_in_order() {
    let (here, there) = packets();
    let many: Vec<Memfd> = (1..=parcel::MOST as u64)
        .map(|len| Memfd::named("x").create(len).unwrap())
        .collect();
    let borrowed: Vec<_> = many.iter().map(AsFd::as_fd).collect();
    parcel::send(&here, b"all", &borrowed).unwrap();
    let got = parcel::receive(&there, &mut [0; 3]).unwrap().unwrap().descriptors;
    assert_eq!(got.len(), parcel::MOST);
    for (number, file) in got.into_iter().enumerate() {
        let flags = rustix::io::fcntl_getfd(&file).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        assert_eq!(Memfd::try_from(file).unwrap().len().unwrap(), number as u64 + 1);
    }
    let one_more: Vec<_> = (0..=parcel::MOST).map(|_| here.as_fd()).collect();
    assert_eq!(
        parcel::send(&here, b"x", &one_more).unwrap_err().kind(),
        Kind::TooLarge
    );
}

#[test]
fn what_does_not_fit_is_an_error_and_leaves_nothing_open() {
    in_child(|| {
        let (here, there) = packets();
        let file = Memfd::named("x").create(1).unwrap();
        parcel::send(&here, b"a long packet", &[file.as_fd()]).unwrap();
        let next = || rustix::io::dup(&there).unwrap().as_raw_fd();
        let before = next();
        assert_eq!(
            parcel::receive(&there, &mut [0; 4]).unwrap_err().kind(),
            Kind::Truncated
        );
        assert_eq!(next(), before, "the descriptor was closed");
        // Three come, but the process has room for one.
        let three = [file.as_fd(), file.as_fd(), file.as_fd()];
        parcel::send(&here, b"three", &three).unwrap();
        limit(libc::RLIMIT_NOFILE, before as u64 + 1);
        assert_eq!(
            parcel::receive(&there, &mut [0; 9]).unwrap_err().kind(),
            Kind::TooManyFiles
        );
        assert_eq!(next(), before);
    });
}

#[test]
fn a_stream_may_deliver_in_pieces() {
    let (here, there) = UnixStream::pair().unwrap();
    let file = Memfd::named("x").create(1).unwrap();
    parcel::send(&here, b"abcdef", &[file.as_fd()]).unwrap();
    let mut two = [0; 2];
    let first = parcel::receive(&there, &mut two).unwrap().unwrap();
    assert_eq!((first.message, first.descriptors.len(), &two), (2, 1, b"ab"));
    let rest = parcel::receive(&there, &mut [0; 9]).unwrap().unwrap();
    assert_eq!((rest.message, rest.descriptors.len()), (4, 0));
    // Longer than the socket's buffer: sent in pieces, too.
    let long = vec![7; 1 << 20];
    std::thread::scope(|scope| {
        scope.spawn(|| parcel::send(&here, &long, &[file.as_fd()]).unwrap());
        let (mut bytes, mut files) = (0, 0);
        while bytes < long.len() {
            let piece = parcel::receive(&there, &mut [0; 65_536]).unwrap().unwrap();
            bytes += piece.message;
            files += piece.descriptors.len();
        }
        assert_eq!((bytes, files), (1 << 20, 1));
    });
}

#[test]
fn misuse_and_waiting_are_told_apart() {
    let (here, there) = UnixStream::pair().unwrap();
    assert_eq!(parcel::send(&here, b"", &[]).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(
        parcel::receive(&there, &mut []).unwrap_err().kind(),
        Kind::Invalid
    );
    there.set_nonblocking(true).unwrap();
    assert_eq!(
        parcel::receive(&there, &mut [0; 1]).unwrap_err().kind(),
        Kind::WouldBlock
    );
    let file = Memfd::named("x").create(1).unwrap();
    assert_eq!(
        parcel::send(&file, b"x", &[]).unwrap_err().kind(),
        Kind::BadDescriptor
    );
    assert_eq!(
        parcel::receive(&file, &mut [0; 1]).unwrap_err().kind(),
        Kind::BadDescriptor
    );
}
