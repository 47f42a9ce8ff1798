use neap_map::Device;
use std::net::UdpSocket;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

/// As root. Sees packets of every interface.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let all = i32::from(0x0003_u16.to_be());
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, all) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: the call has just opened it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // struct tpacket_req; SOL_PACKET, PACKET_RX_RING.
    let request = [4096_u32, 16, 2048, 32];
    // SAFETY: the option's 16 bytes live.
    if unsafe { libc::setsockopt(fd, 263, 5, request.as_ptr().cast(), 16) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    let ring = Device::of(&socket, 0..16 * 4096).map()?;
    let sender = UdpSocket::bind("127.0.0.1:0")?;
    sender.send_to(b"neap tide", sender.local_addr()?)?;
    std::thread::sleep(Duration::from_millis(100));
    println!("status {}, {} bytes", ring.read_u64(0)?, ring.read_u32(8)?);
    Ok(())
}
