//! Memory of drivers that most machines have, and what they refuse. A driver that this process may not use is
//! skipped by name.
#![allow(unsafe_code)]

use crate::child::{Child, in_child, skip};
use neap_map::{Device, FileMap, Kind};
use std::io::Error;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

const PAGE: u64 = 4096;

/// A system call that answers with a new descriptor.
///
/// # Safety
/// 1. Pointers among the arguments are to live structures of the call's.
unsafe fn open(call: libc::c_long, arguments: [usize; 5]) -> Result<OwnedFd, Error> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: by (1).
    let fd = unsafe { libc::syscall(call, a, b, c, d, e) };
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: the call has just opened it.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap()) })
}

#[test]
fn what_hands_out_no_memory_is_not_mappable() {
    let pipe = std::io::pipe().unwrap().0;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let status = std::fs::File::open("/proc/self/status").unwrap();
    let folder = std::fs::File::open("/").unwrap();
    for file in [
        pipe.as_fd(),
        socket.as_fd(),
        null.as_fd(),
        status.as_fd(),
        folder.as_fd(),
    ] {
        assert_eq!(
            Device::of(&file, 0..PAGE).map().unwrap_err().kind(),
            Kind::NotMappable
        );
    }
    assert_eq!(
        Device::of(&null, 1..PAGE).map().unwrap_err().kind(),
        Kind::Unaligned
    );
    assert_eq!(
        Device::of(&null, PAGE..PAGE).map().unwrap_err().kind(),
        Kind::OutOfRange
    );
    match std::fs::File::open("/dev/tty") {
        Err(error) => skip("a terminal", &error),
        Ok(tty) => assert_eq!(
            Device::of(&tty, 0..PAGE).map().unwrap_err().kind(),
            Kind::NotMappable
        ),
    }
}

#[test]
fn dev_zero_is_anonymous_memory_by_another_name() {
    in_child(|| {
        let zero = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/zero")
            .unwrap();
        // SAFETY: (1) memory of zeros: no value does anything.
        let request = unsafe { Device::of(&zero, 0..2 * PAGE).writable() };
        let (shared, private, other) = (
            request.map().unwrap(),
            request.private().map().unwrap(),
            request.map().unwrap(),
        );
        let child = Child::start(|| {
            shared.write_u32(4096, 7).unwrap();
            private.write_u32(4096, 7).unwrap();
        });
        assert_eq!(child.end(), Ok(0));
        assert_eq!(
            shared.read_u32(4096).unwrap(),
            7,
            "shared with children, as MAP_SHARED|MAP_ANONYMOUS"
        );
        assert_eq!(private.read_u32(4096).unwrap(), 0, "copied on write");
        assert_eq!(other.read_u32(4096).unwrap(), 0, "each map is memory of its own");
    });
}

#[test]
fn registers_are_of_one_width_aligned_and_inside() {
    let zero = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/zero")
        .unwrap();
    // SAFETY: (1) memory of zeros: no value does anything.
    let device = unsafe { Device::of(&zero, 0..100).writable() }.map().unwrap();
    device.write_u64(88, 0x0102_0304_0506_0708).unwrap();
    device.write_u8(88, 0xff).unwrap();
    device.write_u16(90, 0xeeee).unwrap();
    device.write_u32(92, 0xdddd_dddd).unwrap();
    let mut bytes = 0x0102_0304_0506_0708_u64.to_ne_bytes();
    bytes[0] = 0xff;
    bytes[2..4].copy_from_slice(&[0xee; 2]);
    bytes[4..].copy_from_slice(&[0xdd; 4]);
    assert_eq!(device.read_u64(88).unwrap(), u64::from_ne_bytes(bytes));
    assert_eq!(device.read_u16(90).unwrap(), 0xeeee);
    assert_eq!(device.read_u8(99).unwrap(), 0);
    assert_eq!(device.read_u32(96).unwrap(), 0);
    assert_eq!(device.read_u64(96).unwrap_err().kind(), Kind::OutOfRange);
    assert_eq!(device.read_u8(100).unwrap_err().kind(), Kind::OutOfRange);
    assert_eq!(device.read_u8(usize::MAX).unwrap_err().kind(), Kind::OutOfRange);
    assert_eq!(device.read_u16(89).unwrap_err().kind(), Kind::Misaligned);
    assert_eq!(device.write_u64(4, 0).unwrap_err().kind(), Kind::Misaligned);
    assert_eq!(device.len(), 100);
    device.unmap().unwrap();
}

/// perf_event_attr, as far as it is needed.
fn perf_event() -> Result<OwnedFd, Error> {
    let mut attributes = [0_u32; 32];
    attributes[0] = 1; // PERF_TYPE_SOFTWARE
    attributes[1] = 128;
    attributes[2] = 9; // PERF_COUNT_SW_DUMMY
    attributes[10] = 1 | 1 << 5; // disabled, exclude_kernel
    let address = attributes.as_ptr().expose_provenance();
    // SAFETY: (1) the attributes are live and as long as they say.
    unsafe { open(libc::SYS_perf_event_open, [address, 0, usize::MAX, usize::MAX, 0]) }
}

#[test]
fn a_perf_ring_is_shared_and_no_file() {
    let ring = match perf_event() {
        Err(error) => return skip("perf_event_open", &error),
        Ok(ring) => ring,
    };
    let map = Device::of(&ring, 0..2 * PAGE).map().unwrap();
    // data_size of struct perf_event_mmap_page: all but the first page.
    assert_eq!(map.read_u64(1040).unwrap(), PAGE);
    map.unmap().unwrap();
    // SAFETY: (1) the ring's pages hold only what readers have read.
    let request = unsafe { Device::of(&ring, 0..2 * PAGE).writable() };
    assert_eq!(request.private().map().unwrap_err().kind(), Kind::Invalid);
    assert_eq!(
        Device::of(&ring, 0..4 * PAGE).map().unwrap_err().kind(),
        Kind::Invalid,
        "not 1 + 2^n pages"
    );
    let as_a_file = FileMap::of(&ring).range(0..2 * PAGE).map().unwrap_err();
    assert_eq!(as_a_file.kind(), Kind::DeviceMemory);
}

#[test]
fn an_io_uring_takes_a_request_and_gives_its_completion() {
    let mut parameters = [0_u32; 30];
    let address = parameters.as_mut_ptr().expose_provenance();
    // SAFETY: (1) struct io_uring_params has 120 bytes.
    let ring = match unsafe { open(libc::SYS_io_uring_setup, [4, address, 0, 0, 0]) } {
        Err(error) => return skip("io_uring_setup", &error),
        Ok(ring) => ring,
    };
    // SAFETY: the kernel has filled them in; read through a pointer, as it wrote behind the compiler's back.
    let parameters = unsafe { (&raw const parameters).read_volatile() };
    let (submission, completion) = (&parameters[10..20], &parameters[20..30]);
    let [head, tail, mask, entries] = [submission[0], submission[1], submission[2], submission[3]];
    assert_eq!(parameters[0], 4);
    let array = submission[6] as usize;
    let completions = completion[5] as usize;
    let len = (array + 4 * 4).max(completions + 8 * 16) as u64;
    // SAFETY: (1) the only request submitted below does nothing.
    let rings = unsafe { Device::of(&ring, 0..len).writable() }.map().unwrap();
    assert_eq!(rings.read_u32(entries as usize).unwrap(), 4);
    assert_eq!(rings.read_u32(mask as usize).unwrap(), 3);
    // SAFETY: (1) a request of zeros is IORING_OP_NOP, and but for user_data it stays one.
    let requests = unsafe { Device::of(&ring, 0x1000_0000..0x1000_0000 + 4 * 64).writable() }
        .map()
        .unwrap();
    requests.write_u64(32, 0x7469_6465).unwrap();
    rings.write_u32(array, 0).unwrap();
    std::sync::atomic::fence(std::sync::atomic::Ordering::Release);
    rings.write_u32(tail as usize, 1).unwrap();
    // SAFETY: submits the request above and waits for it; no pointer is passed.
    let done = unsafe { libc::syscall(libc::SYS_io_uring_enter, ring.as_raw_fd(), 1, 1, 1, 0, 0) };
    assert_eq!(done, 1);
    assert_eq!(rings.read_u32(head as usize).unwrap(), 1);
    assert_eq!(rings.read_u32(completion[1] as usize).unwrap(), 1);
    assert_eq!(rings.read_u64(completions).unwrap(), 0x7469_6465);
    assert_eq!(rings.read_u32(completions + 8).unwrap(), 0);
}

#[test]
fn a_bpf_array_is_the_same_memory_on_both_sides() {
    const ARRAY: u32 = 2;
    const MMAPABLE: u32 = 1 << 10;
    let call = |command: usize, attributes: &[u32; 32]| {
        let address = attributes.as_ptr().expose_provenance();
        // SAFETY: (1) a live union bpf_attr; the buffers it names live in the callers.
        unsafe { open(libc::SYS_bpf, [command, address, 128, 0, 0]) }
    };
    let mut create = [0; 32];
    create[..5].copy_from_slice(&[ARRAY, 4, 10, 1, MMAPABLE]);
    let array = match call(0, &create) {
        Err(error) => return skip("BPF_MAP_CREATE", &error),
        Ok(array) => array,
    };
    // SAFETY: (1) ten bytes that no program reads.
    let map = unsafe { Device::of(&array, 0..PAGE).writable() }.map().unwrap();
    let key = 0_u32;
    let mut value = *b"0123456789";
    let mut element = [0; 32];
    element[0] = array.as_raw_fd().cast_unsigned();
    let words = |address: usize| [address as u32, (address >> 32) as u32];
    element[2..4].copy_from_slice(&words((&raw const key).expose_provenance()));
    element[4..6].copy_from_slice(&words((&raw mut value).expose_provenance()));
    let command = |command: usize| {
        // SAFETY: the key is read, and the value, which has ten bytes, read or written; both live.
        unsafe { libc::syscall(libc::SYS_bpf, command, element.as_ptr(), 128) }
    };
    assert_eq!(command(2), 0, "BPF_MAP_UPDATE_ELEM");
    assert_eq!(map.read_u64(0).unwrap(), u64::from_ne_bytes(*b"01234567"));
    map.write_u8(9, b'!').unwrap();
    assert_eq!(command(1), 0, "BPF_MAP_LOOKUP_ELEM");
    // SAFETY: written by the kernel behind the compiler's back.
    assert_eq!(unsafe { (&raw const value).read_volatile() }, *b"012345678!");
    assert!(
        Device::of(&array, 0..2 * PAGE).map().is_err(),
        "longer than the array"
    );
}

#[test]
fn a_packet_ring_receives_without_a_call() {
    let protocol = usize::from(0x0003_u16.to_be());
    // SAFETY: (1) no pointer among the arguments.
    let socket = unsafe {
        open(
            libc::SYS_socket,
            [17, 3 | libc::SOCK_CLOEXEC as usize, protocol, 0, 0],
        )
    };
    let socket = match socket {
        Err(error) => return skip("a packet socket", &error),
        Ok(socket) => socket,
    };
    let ring: [u32; 4] = [4096, 2, 2048, 4]; // struct tpacket_req
    // SAFETY: the option's value lives and has the length given.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            263,
            5,
            ring.as_ptr().cast(),
            size_of_val(&ring) as u32,
        )
    };
    assert_eq!(set, 0, "{}", Error::last_os_error());
    // SAFETY: (1) the status words that are stored give frames back, nothing else.
    let map = unsafe { Device::of(&socket, 0..8192).writable() }.map().unwrap();
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    if let Err(error) = sender.send_to(b"tide", sender.local_addr().unwrap()) {
        return skip("a packet over the loopback", &error);
    }
    let mut wait = libc::pollfd {
        fd: socket.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one live pollfd.
    assert_eq!(unsafe { libc::poll(&raw mut wait, 1, 60_000) }, 1);
    let status = map.read_u32(0).unwrap();
    assert_eq!(status & 1, 1, "TP_STATUS_USER");
    assert!(map.read_u32(8).unwrap() > 0, "its length");
    map.write_u64(0, 0).unwrap();
    assert!(
        Device::of(&socket, 0..4096).map().is_err(),
        "not the ring's length"
    );
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_virtual_processor_shares_its_page() {
    let kvm = match std::fs::File::options().read(true).write(true).open("/dev/kvm") {
        Err(error) => return skip("/dev/kvm", &error),
        Ok(kvm) => kvm,
    };
    let call = |file: &dyn AsRawFd, request: u64| {
        // SAFETY: these requests take a number, 0, and no pointer.
        unsafe { libc::ioctl(file.as_raw_fd(), request, 0) }
    };
    let machine = call(&kvm, 0xAE01);
    if machine < 0 {
        return skip("KVM_CREATE_VM", &Error::last_os_error());
    }
    // SAFETY: the calls have just opened them.
    let machine = unsafe { OwnedFd::from_raw_fd(machine) };
    let processor = call(&machine, 0xAE41);
    if processor < 0 {
        return skip("KVM_CREATE_VCPU", &Error::last_os_error());
    }
    // SAFETY: as above.
    let processor = unsafe { OwnedFd::from_raw_fd(processor) };
    let len = u64::try_from(call(&kvm, 0xAE04)).unwrap();
    // SAFETY: (1) the one byte stored asks the processor to stop at once.
    let run = unsafe { Device::of(&processor, 0..len).writable() }
        .map()
        .unwrap();
    run.write_u8(1, 1).unwrap(); // immediate_exit
    assert_eq!(call(&processor, 0xAE80), -1);
    assert_eq!(Error::last_os_error().raw_os_error(), Some(libc::EINTR));
    // apic_base, which the kernel fills in on the way out.
    assert_eq!(run.read_u64(24).unwrap() & !0xfff, 0xfee0_0000);
}
