//! [`send`] and [`receive`]: descriptors over a Unix socket, with a message.
//!
//! How processes that do not fork from one another come to share an object without a name. Stateless. A
//! descriptor that is sent stays open here; one that arrives is a new one, closed on execve. What does not
//! arrive whole does not arrive: a message or a list of descriptors that was cut off is an error, and the
//! descriptors that did come are closed.
//!
//! Source: unix(7), cmsg(3). `SCM_RIGHTS`, Linux 2.2.

use crate::diagnosis;
use crate::error::{Error, Kind};
use crate::operation::Operation;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, send as send_bytes, sendmsg,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The most descriptors that one message carries: `SCM_MAX_FD`.
pub const MOST: usize = 253;

/// What has arrived.
#[derive(Debug)]
pub struct Parcel {
    /// How many bytes of message there are in the buffer.
    pub message: usize,
    /// The descriptors, in the order in which they were sent.
    pub descriptors: Vec<OwnedFd>,
}

fn failed(operation: Operation, errno: Errno) -> Error {
    let kind = match errno {
        // Too many are under way.
        Errno::TOOMANYREFS => Kind::TooManyFiles,
        Errno::MSGSIZE => Kind::TooLarge,
        Errno::NOTSOCK | Errno::OPNOTSUPP => Kind::BadDescriptor,
        Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => Kind::Disconnected,
        _ => return diagnosis::of_rustix(operation, errno),
    };
    Error::answered(operation, neap_os::errno::Errno(errno.raw_os_error()), kind)
}

/// Sends a message, which is not empty, and up to [`MOST`] descriptors with its first byte. The other side
/// gets the same open files, with the same rights. Waits while the socket is full, unless it is non-blocking.
///
/// ```
/// use neap_map::{Memfd, parcel};
/// use std::os::{fd::AsFd, unix::net::UnixStream};
/// let (here, there) = UnixStream::pair()?;
/// let memfd = Memfd::named("shared").create(4096)?;
/// memfd.map()?.write_at(0, b"hello")?;
/// parcel::send(&here, b"take this", &[memfd.as_fd()])?;
/// let mut message = [0; 9];
/// let mut parcel = parcel::receive(&there, &mut message)?.expect("the other side is open");
/// let same = Memfd::try_from(parcel.descriptors.remove(0)).map_err(|refused| refused.error())?;
/// assert_eq!(same.map()?.read::<[u8; 5]>(0)?, *b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// - [`Kind::Invalid`]: an empty message. [`Kind::TooLarge`]: too many descriptors, or a message longer than
///   a packet. Nothing is sent.
/// - [`Kind::BadDescriptor`]: not a Unix socket. [`Kind::Disconnected`]: nobody is at the other end.
/// - [`Kind::WouldBlock`]. [`Kind::TooManyFiles`]: too many of this user's descriptors are under way.
///
/// If a part of a message has gone into a stream, its length is the start of the error's range.
pub fn send(socket: impl AsFd, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Error> {
    let refused = |kind| Error::found(Operation::Send, kind);
    if message.is_empty() {
        return Err(refused(Kind::Invalid));
    }
    if descriptors.len() > MOST {
        return Err(refused(Kind::TooLarge));
    }
    let socket = socket.as_fd();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        assert!(
            control.push(SendAncillaryMessage::ScmRights(descriptors)),
            "there is room for the most"
        );
    }
    let first = [IoSlice::new(message)];
    let mut sent = retry_on_intr(|| sendmsg(socket, &first, &mut control, SendFlags::NOSIGNAL))
        .map_err(|errno| failed(Operation::Send, errno).at(0, message.len() as u64))?;
    while let Some(rest) = message.get(sent..).filter(|rest| !rest.is_empty()) {
        sent += retry_on_intr(|| send_bytes(socket, rest, SendFlags::NOSIGNAL))
            .map_err(|errno| failed(Operation::Send, errno).at(sent as u64, rest.len() as u64))?;
    }
    Ok(())
}

/// Receives a message into `message`, and its descriptors. Of a stream, up to so many bytes as have come and
/// fit. `None`: the other side has closed its end.
///
/// # Errors
/// - [`Kind::Truncated`]: a packet was longer than `message`, or descriptors were lost, as the kernel does
///   when this process may not receive one.
/// - [`Kind::TooManyFiles`]: the process has as many open as RLIMIT_NOFILE allows; descriptors were lost.
/// - [`Kind::Invalid`]: `message` is empty. [`Kind::BadDescriptor`]: not a socket.
/// - [`Kind::WouldBlock`], [`Kind::Disconnected`].
pub fn receive(socket: impl AsFd, message: &mut [u8]) -> Result<Option<Parcel>, Error> {
    let len = message.len() as u64;
    if message.is_empty() {
        return Err(Error::found(Operation::Receive, Kind::Invalid));
    }
    let socket = socket.as_fd();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut room = [IoSliceMut::new(message)];
    let answer = retry_on_intr(|| recvmsg(socket, &mut room, &mut control, RecvFlags::CMSG_CLOEXEC))
        .map_err(|errno| failed(Operation::Receive, errno).at(0, len))?;
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            descriptors.extend(rights);
        }
    }
    let lost = |kind| Err(Error::found(Operation::Receive, kind).at(0, len));
    if answer.flags.contains(ReturnFlags::CTRUNC) {
        // There was room for the most that a message carries. If the process can have no descriptor more,
        // that is why; otherwise a security module withheld one.
        let is_full = socket.try_clone_to_owned().is_err();
        drop(descriptors);
        return lost(if is_full {
            Kind::TooManyFiles
        } else {
            Kind::Truncated
        });
    }
    if answer.flags.contains(ReturnFlags::TRUNC) {
        return lost(Kind::Truncated);
    }
    if answer.bytes == 0 && descriptors.is_empty() {
        return Ok(None);
    }
    Ok(Some(Parcel {
        message: answer.bytes,
        descriptors,
    }))
}
