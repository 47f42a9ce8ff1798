//! The ring of a packet socket.
#![allow(unsafe_code, reason = "options and address of a packet socket")]

use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};

use neap_map::{Device, Writing};
use neap_os::errno::Errno;

use super::call::{denied, last, open, span};
use crate::lab::chapters::shm::object::{code, refused};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot};

/// Packets without recv.
pub(super) const RING: Experiment = Experiment {
    name: "driver-packet-ring",
    chapter: Chapter::Driver,
    question: "Can packets be received without a call that copies them?",
    method: "Open a packet socket on the loopback, give it a ring of 32 frames of 2048 bytes \
             (PACKET_RX_RING), and map it. Send a datagram to this process; poll; look for its bytes in the \
             ring; give the frames back. Map a part of the ring.",
    expectation: "A frame is marked as the user's and has the datagram's bytes, which no recv has copied. A \
                  part of the ring is EINVAL.",
    explanation: "The socket's memory is mapped once; from then on the kernel writes a packet into a frame \
                  and sets its status word, and the process reads it and sets the word back. The word says \
                  whose the frame is, as locks do elsewhere. It is how packets are captured at rates at \
                  which a call for each would be too much.",
    cannot_show: "Devices that write into the ring by themselves: here the kernel copies once.",
    source: "Note 01, a driver's mmap; packet(7); Documentation/networking/packet_mmap.rst.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/driver-packet-ring.c"),
    rust: include_str!("../../code/driver-packet-ring.rs"),
    run: ring,
};

const FRAME: usize = 2048;
const FRAMES: usize = 32;
const LEN: u64 = (FRAME * FRAMES) as u64;
/// Headers of Ethernet, IP and UDP.
const HEADERS: usize = 14 + 20 + 8;

/// A packet socket of the loopback alone, with a ring.
fn socket() -> Result<OwnedFd, Errno> {
    const SOL_PACKET: i32 = 263;
    const PACKET_RX_RING: i32 = 5;
    let protocol = 0x0003_u16.to_be();
    let kind = (libc::SOCK_RAW | libc::SOCK_CLOEXEC).cast_unsigned() as usize;
    let family = libc::AF_PACKET.cast_unsigned() as usize;
    // SAFETY: (1) no pointer among the arguments. Protocol 0: nothing arrives before it is bound.
    let socket = unsafe { open(libc::SYS_socket, [family, kind, 0, 0, 0]) }?;
    // struct tpacket_req: size and number of blocks, size and number of frames.
    let request: [u32; 4] = [4096, (LEN / 4096) as u32, FRAME as u32, FRAMES as u32];
    // SAFETY: the address of zeros is one; the structures live here and have the lengths that are given; the
    // name is a C string.
    let is_ready = unsafe {
        let mut address: libc::sockaddr_ll = std::mem::zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol;
        address.sll_ifindex = libc::if_nametoindex(c"lo".as_ptr()).cast_signed();
        libc::setsockopt(
            socket.as_raw_fd(),
            SOL_PACKET,
            PACKET_RX_RING,
            request.as_ptr().cast(),
            size_of_val(&request) as u32,
        ) == 0
            && libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as u32,
            ) == 0
    };
    if is_ready { Ok(socket) } else { Err(last()) }
}

/// Whether a frame of the user's has these bytes behind its headers. Gives all the user's frames back.
fn find(ring: &Device<Writing>, bytes: &[u8]) -> Result<bool, neap_map::Error> {
    let mut is_found = false;
    for frame in (0..FRAMES).map(|number| number * FRAME) {
        // struct tpacket_hdr: TP_STATUS_USER of tp_status, tp_mac at 16.
        if ring.read_u64(frame)? & 1 == 0 {
            continue;
        }
        fence(Ordering::Acquire);
        let start = frame + usize::from(ring.read_u16(frame + 16)?) + HEADERS;
        let has = |(at, byte): (usize, &u8)| ring.read_u8(at).is_ok_and(|other| other == *byte);
        is_found |= start + bytes.len() <= frame + FRAME && (start..).zip(bytes).all(has);
        fence(Ordering::Release);
        ring.write_u64(frame, 0)?;
    }
    Ok(is_found)
}

fn ring(hand: &mut Hand) -> Result<(), Stop> {
    let socket = socket().map_err(|errno| {
        let mend = "run it as root or with CAP_NET_RAW, with a loopback that is up";
        denied("a packet socket with a ring", errno, mend)
    })?;
    // SAFETY: (1) the status words that are stored give frames back to the kernel, and do nothing else.
    let ring = unsafe { Device::of(&socket, 0..LEN).writable() }
        .map()
        .map_err(refused("mmap of the ring"))?;
    hand.watch("the ring", span(&ring)?);
    hand.look("mapped");
    let down = |error: std::io::Error| cannot(format!("the loopback: {error}"), "ip link set lo up");
    let sender = UdpSocket::bind("127.0.0.1:0").map_err(down)?;
    let target = sender.local_addr().map_err(down)?;
    let text = format!("neap tide {}", std::process::id());
    let mut is_found = false;
    // Others may send over the loopback, too, and fill the ring first.
    for _ in 0..50 {
        sender.send_to(text.as_bytes(), target).map_err(down)?;
        let mut wait = libc::pollfd {
            fd: socket.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one live pollfd.
        if unsafe { libc::poll(&raw mut wait, 1, 100) } == 1 {
            is_found = find(&ring, text.as_bytes()).map_err(refused("the ring"))?;
        }
        if is_found {
            break;
        }
    }
    hand.look("a datagram was sent");
    hand.expect(
        "the datagram's bytes in the ring",
        "found",
        if is_found { "found" } else { "not found" },
        is_found,
    );
    let part = Device::of(&socket, 0..LEN / 2).map().map_err(code);
    hand.expect_errno("mmap of half the ring", Errno::EINVAL, part);
    Ok(())
}
