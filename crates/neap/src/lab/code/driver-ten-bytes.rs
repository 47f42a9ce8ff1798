use neap_map::Device;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// As root.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    // BPF_MAP_CREATE: an array, keys of 4 bytes, values of 10, one element, BPF_F_MMAPABLE.
    let attributes = [2_u32, 4, 10, 1, 1 << 10, 0, 0, 0];
    // SAFETY: a live union bpf_attr of 32 bytes.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, 0, attributes.as_ptr(), 32) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: the call has just opened it.
    let array = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    let (key, value) = (0_u32, *b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09");
    let pointer = |address: usize| address as u64;
    let element = [
        array.as_raw_fd() as u64,
        pointer((&raw const key).expose_provenance()),
        pointer(value.as_ptr().expose_provenance()),
        0,
    ];
    // SAFETY: BPF_MAP_UPDATE_ELEM reads the key and ten bytes of the value, which live.
    let stored = unsafe { libc::syscall(libc::SYS_bpf, 2, element.as_ptr(), 32) };
    let map = Device::of(&array, 0..4096).map()?;
    for at in 0..10 {
        println!("{}", map.read_u8(at)?);
    }
    println!("stored: {stored}");
    Ok(())
}
