use neap_map::Device;
use std::os::fd::{FromRawFd, OwnedFd};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // struct perf_event_attr: PERF_TYPE_SOFTWARE, its size, PERF_COUNT_SW_DUMMY; exclude_kernel and comm.
    let mut attributes = [0_u32; 32];
    attributes[..3].copy_from_slice(&[1, 128, 9]);
    attributes[10] = 1 << 5 | 1 << 9;
    // SAFETY: the attributes live and are as long as they say.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), 0, -1, -1, 0) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: the call has just opened it.
    let event = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    let ring = Device::of(&event, 0..2 * 4096).map()?;
    // SAFETY: a C string.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"ebb and flow".as_ptr()) };
    println!("{} bytes of records, the first of type {}", ring.read_u64(1024)?, ring.read_u32(4096)?);
    println!("private: {}", Device::of(&event, 0..2 * 4096).private().map().unwrap_err());
    Ok(())
}
