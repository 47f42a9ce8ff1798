use neap_map::Device;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut parameters = [0_u32; 30];
    // SAFETY: struct io_uring_params has 120 bytes, which live.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, parameters.as_mut_ptr()) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: the call has just opened it.
    let ring = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // SAFETY: the kernel has filled them in.
    let parameters = unsafe { (&raw const parameters).read_volatile() };
    let [tail, array, done, completions] = [11, 16, 21, 25].map(|word| parameters[word] as usize);
    let len = (array + 16).max(completions + 8 * 16) as u64;
    // SAFETY: (1) the only request that is stored does nothing.
    let rings = unsafe { Device::of(&ring, 0..len).writable() }.map()?;
    let requests = 0x1000_0000..0x1000_0000 + 4 * 64;
    // SAFETY: (1) as above.
    let requests = unsafe { Device::of(&ring, requests).writable() }.map()?;
    requests.write_u64(32, 4711)?;
    rings.write_u32(array, 0)?;
    fence(Ordering::Release);
    rings.write_u32(tail, 1)?;
    // SAFETY: no pointer is passed.
    let taken = unsafe { libc::syscall(libc::SYS_io_uring_enter, fd, 1, 1, 1, 0, 0) };
    println!("taken {taken}, done {}, number {}", rings.read_u32(done)?, rings.read_u64(completions)?);
    Ok(())
}
