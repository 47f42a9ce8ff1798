use neap_map::Device;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

fn call(file: &impl AsRawFd, request: u64) -> std::io::Result<i32> {
    // SAFETY: these requests take a number, 0, and no pointer.
    match unsafe { libc::ioctl(file.as_raw_fd(), request as libc::Ioctl, 0) } {
        -1 => Err(std::io::Error::last_os_error()),
        answer => Ok(answer),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kvm = File::options().read(true).write(true).open("/dev/kvm")?;
    // SAFETY: KVM_CREATE_VM has just opened it.
    let machine = unsafe { OwnedFd::from_raw_fd(call(&kvm, 0xAE01)?) };
    // SAFETY: so has KVM_CREATE_VCPU.
    let processor = unsafe { OwnedFd::from_raw_fd(call(&machine, 0xAE41)?) };
    let len = u64::try_from(call(&kvm, 0xAE04)?)?;
    // SAFETY: (1) the one byte that is stored asks the processor to stop at once.
    let run = unsafe { Device::of(&processor, 0..len).writable() }.map()?;
    run.write_u8(1, 1)?;
    println!("KVM_RUN: {:?}", call(&processor, 0xAE80));
    println!("what it left in the page: reason {}, apic_base {:#x}", run.read_u32(8)?, run.read_u64(24)?);
    Ok(())
}
