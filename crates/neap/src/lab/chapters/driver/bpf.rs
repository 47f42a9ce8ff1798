//! The note's ten bytes.
#![allow(unsafe_code, reason = "the call bpf")]

use std::os::fd::{AsRawFd, OwnedFd};

use neap_map::{Device, Writing};
use neap_os::env::page_size;
use neap_os::errno::Errno;

use super::call::{denied, last, open, span};
use crate::lab::chapters::shm::object::{code, refused};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop};

/// `/dev/mymap` without a driver to load.
pub(super) const TEN_BYTES: Experiment = Experiment {
    name: "driver-ten-bytes",
    chapter: Chapter::Driver,
    question: "Are ten bytes in the kernel and ten bytes that mmap shows the same memory?",
    method: "Have the kernel make an array of ten bytes (BPF_MAP_CREATE with BPF_F_MMAPABLE) and write 0 to \
             9 into it by a call; map it shared, and read. Store through the map, and have the kernel read \
             the array. Map two pages of it, map it private, and map an array without the flag.",
    expectation: "The map shows 0 to 9; the kernel reads what was stored. More than the array has, a \
                  private map and an array without the flag are refused, private with EINVAL.",
    explanation: "It is what the note's /dev/mymap does: the kernel allocates a page, its mmap enters that \
                  page into the process's page table, and from then on both sides reach the same memory \
                  without a call. The note's driver has to be compiled and loaded; here the driver is in \
                  the kernel, and nobody's kernel is put at risk. A private map would copy the page at the \
                  first store, and so the driver refuses it.",
    cannot_show: "remap_pfn_range of kmalloc's memory as the note uses it: this driver hands out pages of \
                  vmalloc.",
    source: "Note 01, memory mapped between user space and a driver; bpf(2); kernel/bpf/arraymap.c, \
             array_map_mmap.",
    since: Some((5, 5)),
    under: Under::Plain,
    c: include_str!("../../code/driver-ten-bytes.c"),
    rust: include_str!("../../code/driver-ten-bytes.rs"),
    run: ten_bytes,
};

const CREATE: usize = 0;
const LOOK_UP: usize = 1;
const UPDATE: usize = 2;
const MMAPABLE: u32 = 1 << 10;

/// BPF_MAP_CREATE: an array of one element of ten bytes.
fn array(flags: u32) -> Result<OwnedFd, Errno> {
    const ARRAY: u32 = 2;
    let mut attributes = [0_u32; 32];
    attributes[..5].copy_from_slice(&[ARRAY, 4, 10, 1, flags]);
    let address = attributes.as_ptr().expose_provenance();
    // SAFETY: (1) a live union bpf_attr of 128 bytes, which names no other memory.
    unsafe { open(libc::SYS_bpf, [CREATE, address, 128, 0, 0]) }
}

/// Has the kernel copy the element from or to `value`.
fn element(array: &OwnedFd, command: usize, value: &mut [u8; 10]) -> Result<(), Errno> {
    let key = 0_u32;
    let attributes: [u64; 4] = [
        u64::from(array.as_raw_fd().cast_unsigned()),
        (&raw const key).expose_provenance() as u64,
        value.as_mut_ptr().expose_provenance() as u64,
        0,
    ];
    // SAFETY: a live union bpf_attr: the key, of which 4 bytes are read, and the value, of which 10 are read
    // or written, live here and in the caller, who has lent the value for writing.
    match unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), 32) } {
        0 => Ok(()),
        _ => Err(last()),
    }
}

fn of(array: &OwnedFd, pages: usize) -> Result<Device<Writing>, neap_map::Error> {
    // SAFETY: (1) the array is this experiment's and no program of the kernel's reads it: no value that is
    // stored makes anything change.
    unsafe { Device::of(array, 0..(pages * page_size()) as u64).writable() }.map()
}

fn ten_bytes(hand: &mut Hand) -> Result<(), Stop> {
    let array_of = |flags| {
        array(flags).map_err(|errno| {
            let mend =
                "run it as root or with CAP_BPF, on a kernel with bpf: kernel.unprivileged_bpf_disabled";
            denied("BPF_MAP_CREATE", errno, mend)
        })
    };
    let shared = array_of(MMAPABLE)?;
    let plain = array_of(0)?;
    let mut numbers: [u8; 10] = std::array::from_fn(|index| index as u8);
    let stored = element(&shared, UPDATE, &mut numbers);
    let map = of(&shared, 1).map_err(refused("mmap of the array"))?;
    hand.watch("the kernel's page", span(&map)?);
    hand.look("mapped");
    let text = |bytes: &[u8]| format!("{bytes:?}");
    let shown: Vec<u8> = (0..10).map_while(|at| map.read_u8(at).ok()).collect();
    hand.expect_ok("the kernel writes ten bytes", stored);
    hand.expect_eq("what the map shows", text(&numbers), text(&shown));
    for at in 0..10 {
        map.write_u8(at, 9 - at as u8).map_err(refused("a store"))?;
    }
    hand.look("stored to");
    let mut read = [0; 10];
    hand.expect_ok("the kernel reads them", element(&shared, LOOK_UP, &mut read));
    numbers.reverse();
    hand.expect_eq("what it finds", text(&numbers), text(&read));
    let longer = of(&shared, 2).map_err(code);
    hand.expect(
        "mmap of two pages",
        "refused",
        if longer.is_err() { "refused" } else { "success" },
        longer.is_err(),
    );
    let private = Device::of(&shared, 0..page_size() as u64).private().map();
    hand.expect_errno("a private map", Errno::EINVAL, private.map_err(code));
    let without = of(&plain, 1).map_err(code);
    hand.expect(
        "mmap without BPF_F_MMAPABLE",
        "refused",
        if without.is_err() { "refused" } else { "success" },
        without.is_err(),
    );
    Ok(())
}
