//! Copies of every shape, and faults at every byte next to an edge, with each width of vector.
#![allow(unsafe_code)]

use super::{PAGE, at, fault, truncated};
use crate::child::in_child;
#[cfg(target_arch = "x86_64")]
use crate::fault::arch;
use crate::fault::{Signal, copy, install};
use crate::linux::Linux;
use crate::syscall::{Call, syscall3};
use crate::unit::{Bytes, Span};
use crate::vm::{Protection, Vm};
use std::vec;
use std::vec::Vec;

/// Runs `body` in a child for each way of copying that this machine has.
fn in_each_way(body: impl Fn()) {
    in_child(|| {
        install(Signal::Bus).unwrap();
        install(Signal::Segv).unwrap();
        body();
    });
    #[cfg(target_arch = "x86_64")]
    for width in [16, 32, 64] {
        if width > arch::widest() {
            crate::child::skip(format_args!(
                "copies by vectors of {width} bytes, which this machine lacks"
            ));
            continue;
        }
        for string in [0, 2048, usize::MAX] {
            in_child(|| {
                install(Signal::Bus).unwrap();
                install(Signal::Segv).unwrap();
                arch::choose(width, Bytes(string));
                body();
            });
        }
    }
}

/// Numbers that look like chance and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % end
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8 + 1).collect()
}

fn check(from: &[u8], to: &mut [u8], (skip_from, skip_to): (usize, usize), len: usize) {
    let end = skip_to + len;
    to[..end + 64].fill(0);
    // SAFETY: (1, 2) two buffers, long enough or the slices panic.
    unsafe {
        copy(
            from[skip_from..][..len].as_ptr(),
            to[skip_to..].as_mut_ptr(),
            Bytes(len),
        )
    }
    .unwrap();
    assert_eq!(to[skip_to..end], from[skip_from..][..len], "{len} bytes");
    let outside = to[..skip_to].iter().chain(&to[end..end + 64]);
    assert_eq!(outside.filter(|&&b| b != 0).count(), 0, "{len} bytes");
}

#[test]
fn a_copy_of_any_length_and_alignment_writes_its_bytes_and_no_other() {
    in_each_way(|| {
        let from = pattern((1 << 20) + 128);
        let mut to = vec![0; (1 << 20) + 256];
        let mut numbers = Numbers(1);
        for len in 0..=300 {
            for skip in 0..64 {
                check(&from, &mut to, (skip, 0), len);
                check(&from, &mut to, (numbers.below(64), 64 + skip), len);
            }
        }
        for scale in [600, 5_000, 70_000, 1 << 20] {
            for _ in 0..40 {
                let skips = (numbers.below(64), numbers.below(128));
                check(&from, &mut to, skips, numbers.below(scale));
            }
        }
    });
}

/// Where accesses begin to fault, and the fault.
struct Edge {
    address: usize,
    signal: Signal,
    code: i32,
}

/// Two pages that can be used and behind them two that cannot be read or written.
fn edges() -> Vec<Edge> {
    let end_of_file = truncated().base() + PAGE;
    let page = |span: Span, n: usize| Span::new(span.base() + n * PAGE, PAGE).unwrap();
    let segv = |address, code| Edge {
        address,
        signal: Signal::Segv,
        code,
    };
    let none = Linux.map(Bytes(4 * PAGE)).unwrap();
    let gone = Linux.map(Bytes(4 * PAGE)).unwrap();
    // SAFETY: (1) mappings just made; (2) touched by guarded copies only.
    unsafe {
        Linux.protect(page(none, 2), Protection::None).unwrap();
        Linux.unmap(page(gone, 2)).unwrap();
    }
    let mut all = vec![
        Edge {
            address: end_of_file,
            signal: Signal::Bus,
            code: 2,
        },
        segv(none.base() + 2 * PAGE, 2),
        segv(gone.base() + 2 * PAGE, 1),
    ];
    let guarded = Linux.map(Bytes(4 * PAGE)).unwrap();
    // SAFETY: (1) the pages are the test's, touched by guarded copies only.
    let advise = |advice| unsafe { syscall3(Call::MADVISE, guarded.base() + 2 * PAGE, PAGE, advice) };
    let (guard_install, unknown) = (102, 0x7fff_ffff);
    if advise(unknown).is_ok() {
        crate::child::skip(format_args!(
            "guard pages: any advice is taken here, as emulators do"
        ));
        return all;
    }
    match advise(guard_install) {
        Ok(_) => all.push(segv(guarded.base() + 2 * PAGE, 1)),
        Err(error) => crate::child::skip(format_args!("guard pages: {error:?} (Linux 6.13)")),
    }
    all
}

const LENGTHS: [usize; 20] = [
    1, 2, 3, 5, 8, 15, 16, 31, 33, 64, 65, 100, 129, 200, 257, 400, 513, 700, 2_100, 4_096,
];

#[test]
fn a_load_that_faults_is_told_at_its_byte_and_nothing_else_is_written() {
    in_each_way(|| {
        let edges = edges();
        for Edge {
            address,
            signal,
            code,
        } in edges
        {
            let whole = pattern(PAGE);
            // SAFETY: (1, 2) the page before the edge can be written.
            unsafe { copy(whole.as_ptr(), at(address - PAGE), Bytes(PAGE)) }.unwrap();
            for len in LENGTHS {
                let mut to = vec![0; len + 64 + 1];
                // Before the edge, so many bytes; with longer copies, not every one of them.
                for before in (0..len).step_by(1 + len / 150) {
                    let skip = before % 61;
                    to.fill(0);
                    let from = at(address - before);
                    // SAFETY: (1, 2) memory of the test's, which may fault.
                    let outcome = unsafe { copy(from, to[skip..].as_mut_ptr(), Bytes(len)) };
                    assert_eq!(outcome, fault(before, signal, code), "{before} of {len}");
                    assert_eq!(to[skip..][..before], whole[PAGE - before..]);
                    let beyond = to[..skip].iter().chain(&to[skip + before..]);
                    assert_eq!(beyond.filter(|&&b| b != 0).count(), 0, "{before} of {len}");
                }
                // SAFETY: as above; ends at the edge.
                unsafe { copy(at(address - len), to.as_mut_ptr(), Bytes(len)) }.unwrap();
            }
        }
    });
}

#[test]
fn a_store_that_faults_is_told_at_its_byte_and_nothing_before_the_copy_is_written() {
    in_each_way(|| {
        let from = pattern(PAGE + 64);
        let edges = edges();
        for Edge {
            address,
            signal,
            code,
        } in edges
        {
            // SAFETY: the page before the edge is a mapping of the test's that nobody else uses.
            let page = unsafe { core::slice::from_raw_parts_mut(at(address - PAGE), PAGE) };
            for len in LENGTHS {
                for before in (0..len).step_by(1 + len / 150) {
                    let skip = before % 61;
                    page.fill(0);
                    // SAFETY: (1, 2) memory of the test's, which may fault.
                    let outcome = unsafe { copy(from[skip..].as_ptr(), at(address - before), Bytes(len)) };
                    assert_eq!(outcome, fault(before, signal, code), "{before} of {len}");
                    assert_eq!(page[PAGE - before..], from[skip..][..before]);
                    assert_eq!(page[..PAGE - before].iter().filter(|&&b| b != 0).count(), 0);
                }
            }
        }
    });
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_store_that_straddles_into_a_page_that_can_be_written_leaves_it_alone() {
    in_each_way(|| {
        let span = Linux.map(Bytes(2 * PAGE)).unwrap();
        let second = at(span.base() + PAGE);
        // SAFETY: (1) just mapped; (2) the first page is only read from here on.
        unsafe { Linux.protect(Span::new(span.base(), PAGE).unwrap(), Protection::Read) }.unwrap();
        let from = pattern(PAGE);
        for len in LENGTHS {
            for before in (1..len).step_by(1 + len / 150) {
                // SAFETY: (1, 2) memory of the test's; the first byte cannot be written.
                let outcome = unsafe { copy(from.as_ptr(), second.sub(before), Bytes(len)) };
                assert_eq!(outcome, fault(0, Signal::Segv, 2));
            }
        }
        // SAFETY: the second page, which nobody writes.
        let page = unsafe { core::slice::from_raw_parts(second, PAGE) };
        assert!(page.iter().all(|&b| b == 0));
    });
}

#[cfg(target_arch = "x86_64")]
#[test]
fn an_address_that_is_none_is_a_fault() {
    in_each_way(|| {
        let nowhere = at(0x8000_0000_0000_0000);
        for len in LENGTHS {
            // SAFETY: (1, 2) the address faults.
            let outcome = unsafe { copy(nowhere, pattern(len).as_mut_ptr(), Bytes(len)) };
            assert_eq!(outcome, fault(0, Signal::Segv, 128));
        }
    });
}
