//! The rings of io_uring.
#![allow(unsafe_code, reason = "the calls of io_uring")]

use std::os::fd::AsRawFd;
use std::sync::atomic::{Ordering, fence};

use neap_map::{Device, Writing};

use super::call::{denied, last, open, span};
use crate::lab::chapters::shm::object::refused;
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop};

/// A request is a store.
pub(super) const RINGS: Experiment = Experiment {
    name: "driver-io-uring",
    chapter: Chapter::Driver,
    question: "Can a process and the kernel talk through memory that both write?",
    method: "Make an io_uring of 4 entries. Map its rings at offset 0 and its requests at 0x10000000. Store \
             a request that does nothing, with a number, and raise the tail; call io_uring_enter; read the \
             other ring.",
    expectation: "The kernel has raised the head of the ring of requests to 1 and the tail of the ring of \
                  completions to 1; the completion has the request's number and the result 0.",
    explanation: "The offset tells the driver which of its memory to map: it is no place in a file. Each \
                  ring has one who writes its tail and one who writes its head, so neither has to lock. \
                  What takes the kernel to work through the ring is one call for any number of requests, or \
                  none with IORING_SETUP_SQPOLL.",
    cannot_show: "What a request costs: a single one that does nothing is not faster than a call.",
    source: "Note 01, a driver's mmap; io_uring(7), io_uring_setup(2).",
    since: Some((5, 4)),
    under: Under::Plain,
    c: include_str!("../../code/driver-io-uring.c"),
    rust: include_str!("../../code/driver-io-uring.rs"),
    run: rings,
};

const ENTRIES: usize = 4;
const REQUESTS: u64 = 0x1000_0000;
const NUMBER: u64 = 0x6562_6221;

fn rings(hand: &mut Hand) -> Result<(), Stop> {
    // struct io_uring_params, 120 bytes: at 40 the offsets of one ring, at 80 those of the other.
    let mut parameters = [0_u32; 30];
    let address = parameters.as_mut_ptr().expose_provenance();
    // SAFETY: (1) the parameters live, and the kernel fills all of them.
    let ring = unsafe { open(libc::SYS_io_uring_setup, [ENTRIES, address, 0, 0, 0]) }.map_err(|errno| {
        let mend = "set kernel.io_uring_disabled to 0, and allow io_uring_setup in the container's filter";
        denied("io_uring_setup", errno, mend)
    })?;
    // SAFETY: the kernel has written them behind the compiler's back; they live here.
    let parameters = unsafe { (&raw const parameters).read_volatile() };
    let at = |word: usize| parameters[word] as usize;
    let [head, tail, array, done, completions] = [at(10), at(11), at(16), at(21), at(25)];
    let len = (array + ENTRIES * 4).max(completions + 2 * ENTRIES * 16) as u64;
    let map = |from: u64, len: u64| -> Result<Device<Writing>, Stop> {
        // SAFETY: (1) the only request that is stored does nothing, so it makes the kernel change no memory.
        unsafe { Device::of(&ring, from..from + len).writable() }
            .map()
            .map_err(refused("mmap of a ring"))
    };
    let rings = map(0, len)?;
    let requests = map(REQUESTS, ENTRIES as u64 * 64)?;
    hand.watch("the rings", span(&rings)?);
    hand.watch("the requests", span(&requests)?);
    hand.look("mapped");
    let store = |outcome: Result<(), neap_map::Error>| outcome.map_err(refused("a store"));
    // Zeros are IORING_OP_NOP; at 32 is user_data.
    store(requests.write_u64(32, NUMBER))?;
    store(rings.write_u32(array, 0))?;
    fence(Ordering::Release);
    store(rings.write_u32(tail, 1))?;
    // SAFETY: hands in one request and waits for it; no pointer is passed.
    let entered = unsafe { libc::syscall(libc::SYS_io_uring_enter, ring.as_raw_fd(), 1, 1, 1, 0, 0) };
    let entered = u32::try_from(entered).map_err(|_| last());
    fence(Ordering::Acquire);
    hand.look("one request is done");
    if let Some(count) = hand.expect_ok("io_uring_enter", entered) {
        hand.expect_eq("requests that it took", 1, count);
    }
    let read = |at: usize| rings.read_u32(at).map_err(refused("a read"));
    hand.expect_eq("head of the ring of requests", 1, read(head)?);
    hand.expect_eq("tail of the ring of completions", 1, read(done)?);
    let number = rings.read_u64(completions).map_err(refused("a read"))?;
    hand.expect_eq("number of the completion", NUMBER, number);
    hand.expect_eq("its result", 0, read(completions + 8)?);
    Ok(())
}
