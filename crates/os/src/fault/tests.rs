//! Faults that really happen. Each test installs in a child, so that none depends on another.
#![allow(unsafe_code)]

use super::*;
use crate::child::{end_of_child, in_child};
use crate::linux::Linux;
use crate::share::{Fd, map_shared};
use crate::unit::Span;
use crate::vm::{Protection, Vm};
use core::ptr::with_exposed_provenance_mut;
use std::os::fd::AsRawFd;
use std::{format, fs};

mod edges;
mod words;

const PAGE: usize = 4096;

/// A shared mapping of three pages of a file that has one page, all 7.
fn truncated() -> Span {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("neap-os-{}-fault-{number}", getpid()));
    fs::write(&path, [7; 3 * PAGE]).unwrap();
    let file = fs::File::options().read(true).write(true).open(&path).unwrap();
    fs::remove_file(path).unwrap();
    let span = map_shared(Fd(file.as_raw_fd()), 0, Bytes(3 * PAGE)).unwrap();
    file.set_len(PAGE as u64).unwrap();
    span
}

fn at(address: usize) -> *mut u8 {
    with_exposed_provenance_mut(address)
}

fn read(address: usize, buffer: &mut [u8]) -> Result<(), Fault> {
    // SAFETY: (1) tests read mappings into arrays; (2) mappings that the tests made, or nothing.
    unsafe { copy(at(address), buffer.as_mut_ptr(), Bytes(buffer.len())) }
}

fn write(buffer: &[u8], address: usize) -> Result<(), Fault> {
    // SAFETY: as in `read`.
    unsafe { copy(buffer.as_ptr(), at(address), Bytes(buffer.len())) }
}

fn fault(offset: usize, signal: Signal, code: i32) -> Result<(), Fault> {
    Err(Fault {
        offset: Bytes(offset),
        signal,
        code,
    })
}

#[test]
fn a_copy_without_a_fault_is_a_copy() {
    let from: std::vec::Vec<u8> = (0..10_000u32).map(|i| (i * 7) as u8).collect();
    for len in [0, 1, 2, 7, 15, 16, 17, 31, 33, 255, 4096, 9_999] {
        let mut to = [0xaa; 10_001];
        // SAFETY: (1, 2) two buffers of the test's.
        unsafe { copy(from[1..].as_ptr(), to[1..].as_mut_ptr(), Bytes(len)) }.unwrap();
        assert_eq!(to[1..=len], from[1..=len]);
        assert!(to[0] == 0xaa && to[len + 1..].iter().all(|&b| b == 0xaa));
    }
}

#[test]
fn past_the_end_of_the_file_is_an_error_at_the_exact_byte() {
    in_child(|| {
        install(Signal::Bus).unwrap();
        assert!(is_installed(Signal::Bus));
        install(Signal::Bus).unwrap();
        let span = truncated();
        let mut buffer = [0; 2 * PAGE];
        for before in [0, 1, 5, 15, 16, 17, 100, PAGE - 1, PAGE] {
            buffer.fill(0);
            let start = span.base() + PAGE - before;
            assert_eq!(read(start, &mut buffer), fault(before, Signal::Bus, 2));
            assert!(buffer[..before].iter().all(|&b| b == 7) && buffer[before..].iter().all(|&b| b == 0));
            buffer.fill(9);
            assert_eq!(write(&buffer, start), fault(before, Signal::Bus, 2));
            buffer.fill(7);
            write(&buffer[..before], start).unwrap();
        }
        assert_eq!(read(span.base() + PAGE, &mut []), Ok(()));
    });
}

#[test]
fn no_access_and_no_mapping_are_told_apart() {
    in_child(|| {
        install(Signal::Segv).unwrap();
        let span = Linux.map(Bytes(4 * PAGE)).unwrap();
        let page = |n: usize| Span::new(span.base() + n * PAGE, PAGE).unwrap();
        // SAFETY: (1) the test's; (2) touched by guarded copies only.
        unsafe {
            Linux.protect(page(1), Protection::Read).unwrap();
            Linux.protect(page(2), Protection::None).unwrap();
            Linux.unmap(page(3)).unwrap();
        }
        let mut buffer = [0; 3 * PAGE];
        assert_eq!(read(span.base(), &mut buffer), fault(2 * PAGE, Signal::Segv, 2));
        assert_eq!(
            write(&buffer, span.base() + 10),
            fault(PAGE - 10, Signal::Segv, 2)
        );
        assert_eq!(read(page(3).base(), &mut buffer), fault(0, Signal::Segv, 1));
        assert_eq!(read(0, &mut buffer), fault(0, Signal::Segv, 1));
    });
}

#[test]
fn many_threads_fault_at_once() {
    in_child(|| {
        install(Signal::Bus).unwrap();
        let base = truncated().base();
        std::thread::scope(|s| {
            for before in 1..9 {
                s.spawn(move || {
                    for _ in 0..500 {
                        let outcome = read(base + PAGE - before, &mut [0; 64]);
                        assert_eq!(outcome, fault(before, Signal::Bus, 2));
                    }
                });
            }
        });
    });
}

#[test]
fn a_fault_elsewhere_is_fatal_with_its_own_signal() {
    const SIGBUS: i32 = 7;
    let base = truncated().base();
    // SAFETY: the access faults, which is the test.
    let touch = || unsafe { at(base + PAGE).write_volatile(1) };
    let end = end_of_child(|| {
        install(Signal::Bus).unwrap();
        touch();
    });
    assert_eq!(end, Err(SIGBUS));
    let end = end_of_child(|| {
        action(Signal::Bus, SIG_IGN, 0);
        install(Signal::Bus).unwrap();
        touch();
    });
    assert_eq!(end, Err(SIGBUS));
}

fn action(signal: Signal, handler: usize, flags: c_int) {
    let new = Action {
        handler,
        flags,
        ..Action::DEFAULT
    };
    // SAFETY: `handler` is SIG_DFL, SIG_IGN or a function of the test's of the right signature.
    let error = unsafe { sigaction(signal.number(), &raw const new, null_mut()) };
    assert_eq!(error, 0);
}

fn send(signal: Signal) {
    let (process, thread) = (getpid() as usize, gettid() as usize);
    // SAFETY: (1) delivers a signal to this thread.
    unsafe { syscall3(Call::TGKILL, process, thread, signal.number() as usize) }.unwrap();
}

#[test]
fn a_signal_that_is_sent_takes_its_old_course() {
    let end = end_of_child(|| {
        action(Signal::Segv, SIG_DFL, 0);
        install(Signal::Segv).unwrap();
        send(Signal::Segv);
    });
    assert_eq!(end, Err(11));
    in_child(|| {
        action(Signal::Segv, SIG_IGN, 0);
        install(Signal::Segv).unwrap();
        send(Signal::Segv);
    });
}

static SEEN: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn repair(number: c_int, info: *mut Info, _: *mut c_void) {
    // SAFETY: the kernel's siginfo.
    let address = unsafe { (*info).address };
    SEEN.store(address, Ordering::Relaxed);
    assert_eq!(number, Signal::Segv.number());
    let page = Span::new(address & !(PAGE - 1), PAGE).unwrap();
    // SAFETY: (1) the page that the test reserved; (2) access is only added.
    unsafe { Linux.protect(page, Protection::ReadWrite) }.unwrap();
}

unsafe extern "C" fn count(_: c_int) {
    SEEN.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn handlers_from_before_get_what_is_not_ours() {
    in_child(|| {
        action(
            Signal::Segv,
            (repair as *const ()).expose_provenance(),
            SA_SIGINFO,
        );
        action(Signal::Bus, (count as *const ()).expose_provenance(), 0);
        install(Signal::Segv).unwrap();
        install(Signal::Bus).unwrap();
        let span = Linux.reserve(Bytes(PAGE)).unwrap();
        // A guarded copy is ours.
        assert_eq!(read(span.base(), &mut [0; 1]), fault(0, Signal::Segv, 2));
        assert_eq!(SEEN.load(Ordering::Relaxed), 0);
        // SAFETY: the page becomes accessible by the handler.
        unsafe { at(span.base() + 100).write_volatile(5) };
        assert_eq!(SEEN.load(Ordering::Relaxed), span.base() + 100);
        SEEN.store(0, Ordering::Relaxed);
        send(Signal::Bus);
        send(Signal::Bus);
        assert_eq!(SEEN.load(Ordering::Relaxed), 2);
        action(Signal::Bus, SIG_DFL, 0);
        assert!(!is_installed(Signal::Bus) && is_installed(Signal::Segv));
    });
}
