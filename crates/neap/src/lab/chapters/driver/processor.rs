//! The page of a virtual processor.
#![allow(unsafe_code, reason = "the calls of KVM")]

use std::fs::File;
use std::os::fd::{FromRawFd, OwnedFd};

use neap_map::{Anon, Device};
use neap_os::env::page_size;
use neap_os::errno::Errno;

use super::call::{control, denied, span};
use crate::lab::chapters::shm::object::refused;
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot, failed};

/// KVM_RUN.
pub(super) const PAGE: Experiment = Experiment {
    name: "driver-virtual-processor",
    chapter: Chapter::Driver,
    question: "How does a driver answer with more than a number?",
    method: "Make a virtual machine of a page of memory with five bytes of code in real mode: mov al, '7'; \
             out 0x10, al; hlt. Map its processor's page (/dev/kvm) and call KVM_RUN twice.",
    expectation: "After the first call the mapped page says: an out of one byte to port 0x10, and the byte \
                  is '7'. After the second it says: halted.",
    explanation: "ioctl returns one number. What made the processor stop, and with what, is in memory that \
                  the driver and the process share: a structure at its start, and behind it a page for \
                  data, which the structure points into by an offset, as addresses would mean nothing to \
                  the other side. And the machine's own memory is an ordinary mapping of this process, \
                  which the processor reads.",
    cannot_show: "Processors other than x86, whose machines begin in another way.",
    source: "Note 01, a driver's mmap; Documentation/virt/kvm/api.rst, KVM_RUN, struct kvm_run.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/driver-virtual-processor.c"),
    rust: include_str!("../../code/driver-virtual-processor.rs"),
    run: page,
};

const CREATE_VM: u64 = 0xAE01;
const GET_VCPU_MMAP_SIZE: u64 = 0xAE04;
const CREATE_VCPU: u64 = 0xAE41;
const SET_USER_MEMORY_REGION: u64 = 0x4020_AE46;
const RUN: u64 = 0xAE80;
const SET_REGS: u64 = 0x4090_AE82;
const GET_SREGS: u64 = 0x8138_AE83;
const SET_SREGS: u64 = 0x4138_AE84;
const EXIT_IO: u32 = 2;
const EXIT_HLT: u32 = 5;
/// Where the machine's page of memory lies for it.
const START: u64 = 0x1000;
const CODE: [u8; 5] = [0xB0, b'7', 0xE6, 0x10, 0xF4];

/// An ioctl that takes 0 and answers with a new descriptor.
fn make(file: &OwnedFd, request: u64) -> Result<OwnedFd, Errno> {
    // SAFETY: (1) the request takes a number.
    let fd = unsafe { control(file, request, 0) }?;
    // SAFETY: the call has just opened it, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets the processor begin at `START`, with segments at 0.
fn begin(processor: &OwnedFd) -> Result<(), Errno> {
    // struct kvm_sregs, 312 bytes: cs at its start, its base, and its selector in the upper half of word 1.
    let mut segments = [0_u64; 39];
    // struct kvm_regs, 144 bytes: rip and rflags are the last.
    let mut registers = [0_u64; 18];
    registers[16] = START;
    registers[17] = 2;
    // SAFETY: (1) live structures of the requests', as long as the requests' numbers say.
    unsafe {
        control(processor, GET_SREGS, segments.as_mut_ptr().expose_provenance())?;
        segments[0] = 0;
        segments[1] &= !(0xffff << 32);
        control(processor, SET_SREGS, segments.as_mut_ptr().expose_provenance())?;
        control(processor, SET_REGS, registers.as_mut_ptr().expose_provenance())?;
    }
    Ok(())
}

fn page(hand: &mut Hand) -> Result<(), Stop> {
    if !cfg!(target_arch = "x86_64") {
        return Err(cannot("its five bytes of code are of x86", "run it on x86_64"));
    }
    let mend = "run it as a user who may open /dev/kvm, on a machine with virtualisation";
    let kvm = File::options().read(true).write(true).open("/dev/kvm");
    let kvm = OwnedFd::from(kvm.map_err(|error| cannot(format!("/dev/kvm: {error}"), mend))?);
    let machine = make(&kvm, CREATE_VM).map_err(|errno| denied("KVM_CREATE_VM", errno, mend))?;
    let processor = make(&machine, CREATE_VCPU).map_err(|errno| denied("KVM_CREATE_VCPU", errno, mend))?;
    let memory = Anon::shared(page_size())
        .map()
        .map_err(refused("mmap of the machine's memory"))?;
    memory.write_at(0, &CODE).map_err(refused("a store"))?;
    // struct kvm_userspace_memory_region: slot and flags, its address, its length, ours.
    let region: [u64; 4] = [
        0,
        START,
        memory.len() as u64,
        memory.as_ptr().expose_provenance() as u64,
    ];
    // SAFETY: (1) a live structure of the request's. The memory is a shared map, of which no reference
    // exists; the machine forgets it should it be unmapped.
    unsafe {
        control(
            &machine,
            SET_USER_MEMORY_REGION,
            region.as_ptr().expose_provenance(),
        )
    }
    .map_err(failed("KVM_SET_USER_MEMORY_REGION"))?;
    begin(&processor).map_err(failed("the registers"))?;
    // SAFETY: (1) the request takes a number.
    let len = unsafe { control(&kvm, GET_VCPU_MMAP_SIZE, 0) }.map_err(failed("KVM_GET_VCPU_MMAP_SIZE"))?;
    let run = Device::of(&processor, 0..u64::from(len.unsigned_abs()))
        .map()
        .map_err(refused("mmap of the processor's page"))?;
    hand.watch("the processor's page", span(&run)?);
    hand.look("mapped");
    // SAFETY: (1) the request takes a number; the machine's code writes no memory.
    let go = || unsafe { control(&processor, RUN, 0) };
    let first = go();
    let read = |at: usize| run.read_u32(at).map_err(refused("a read"));
    let reason = read(8)?;
    hand.look("the processor has stopped");
    hand.expect_ok("KVM_RUN", first);
    hand.expect_eq("why it stopped: KVM_EXIT_IO", EXIT_IO, reason);
    // struct kvm_run, io at 32: direction, size, port; at 40 where its data is.
    hand.expect_eq("out, of one byte, to port 0x10", 0x10_01_01, read(32)?);
    let at = run.read_u64(40).map_err(refused("a read"))?;
    let data = usize::try_from(at)
        .map_or(Ok(0), |at| run.read_u8(at))
        .map_err(refused("a read"))?;
    hand.expect_eq("the byte", b'7', data);
    hand.expect_ok("KVM_RUN once more", go());
    hand.expect_eq("why it stopped: KVM_EXIT_HLT", EXIT_HLT, read(8)?);
    Ok(())
}
