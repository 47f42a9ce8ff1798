//! Guarded words, and what the handler does around other handlers, forks and masks.
#![allow(unsafe_code)]

use super::{PAGE, action, at, fault, read, send, truncated};
use crate::child::{end_of_child, in_child, limit};
use crate::fault::*;
use crate::linux::Linux;
use crate::vm::Vm;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_word_is_loaded_and_stored_and_its_neighbours_left_alone() {
    macro_rules! check {
        ($type:ty, $load:ident, $store:ident) => {
            let mut words = [<$type>::MAX; 3];
            let value = 0x8182_8384_8586_8788_u64 as $type;
            // SAFETY: (1) an element of the array.
            unsafe {
                $store(&raw mut words[1], value).unwrap();
                assert_eq!($load(&raw const words[1]), Ok(value));
                assert_eq!($load(&raw const words[2]), Ok(<$type>::MAX));
            }
            assert_eq!(words, [<$type>::MAX, value, <$type>::MAX]);
        };
    }
    check!(u8, load_u8, store_u8);
    check!(u16, load_u16, store_u16);
    check!(u32, load_u32, store_u32);
    check!(u64, load_u64, store_u64);
}

#[test]
fn a_word_that_faults_is_an_error() {
    in_child(|| {
        install(Signal::Bus).unwrap();
        install(Signal::Segv).unwrap();
        let end = truncated().base() + PAGE;
        let reserved = Linux.reserve(Bytes(PAGE)).unwrap().base();
        for (address, signal) in [(end, Signal::Bus), (reserved, Signal::Segv)] {
            macro_rules! check {
                ($type:ty, $load:ident, $store:ident) => {
                    let word = at(address).cast::<$type>();
                    // SAFETY: (1) every byte faults.
                    let outcomes = unsafe { ($load(word), $store(word, 1)) };
                    let expected = fault(0, signal, 2);
                    assert_eq!((outcomes.0.map(|_| ()), outcomes.1), (expected, expected));
                };
            }
            check!(u8, load_u8, store_u8);
            check!(u16, load_u16, store_u16);
            check!(u32, load_u32, store_u32);
            check!(u64, load_u64, store_u64);
            // SAFETY: (1) every byte faults.
            unsafe {
                let expected = fault(0, signal, 2);
                let (short, long) = (at(address).cast::<u32>(), at(address).cast::<u64>());
                assert_eq!(compare_exchange_u32(short, 0, 1).map(|_| ()), expected);
                assert_eq!(compare_exchange_u64(long, 0, 1).map(|_| ()), expected);
                assert_eq!(fetch_add_u32(short, 1).map(|_| ()), expected);
                assert_eq!(fetch_add_u64(long, 1).map(|_| ()), expected);
            }
        }
        // SAFETY: (1) the file's last word.
        assert_eq!(unsafe { load_u64(at(end - 8).cast()) }, Ok(0x0707_0707_0707_0707));
    });
}

#[test]
fn read_modify_write_is_atomic_and_says_what_was_there() {
    let (mut short, mut long) = (u32::MAX, 5u64);
    // SAFETY: (1) the test's variables.
    unsafe {
        assert_eq!(fetch_add_u32(&raw mut short, 3), Ok(u32::MAX));
        assert_eq!(compare_exchange_u32(&raw mut short, 1, 9), Ok(Err(2)));
        assert_eq!(compare_exchange_u32(&raw mut short, 2, 9), Ok(Ok(2)));
        assert_eq!(compare_exchange_u64(&raw mut long, 4, 9), Ok(Err(5)));
        assert_eq!(compare_exchange_u64(&raw mut long, 5, u64::MAX), Ok(Ok(5)));
        assert_eq!(fetch_add_u64(&raw mut long, 2), Ok(u64::MAX));
    }
    assert_eq!((short, long), (9, 1));
    let sum = AtomicUsize::new(0);
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..10_000 {
                    // SAFETY: (1) an atomic that all threads add to.
                    unsafe { fetch_add_u64(sum.as_ptr().cast(), 1) }.unwrap();
                }
            });
        }
    });
    assert_eq!(sum.into_inner(), 40_000);
}

#[test]
fn only_what_the_instruction_raised_is_ours() {
    // Sent by a process (SI_USER, SI_TKILL); BUS_MCEERR_AO; SEGV_MTEAERR; no room for a frame, after a
    // page fault; a signal of another kind.
    for (number, code) in [(7, 0), (11, -6), (7, 5), (11, 8), (7, 128), (11, 128), (8, 1)] {
        assert!(!is_of_the_instruction(number, code, 14), "{number} {code}");
    }
    for (number, code) in [(7, 2), (7, 4), (11, 1), (11, 2)] {
        assert!(is_of_the_instruction(number, code, 14), "{number} {code}");
    }
    // A general protection fault, which only x86_64 has.
    assert_eq!(is_of_the_instruction(11, 128, 13), cfg!(target_arch = "x86_64"));
    assert!(site::count() > 10);
}

static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// Repairs nothing: copies from the same page, guarded, and then makes the page accessible.
unsafe extern "C" fn copy_inside(_: c_int, info: *mut Info, _: *mut c_void) {
    // SAFETY: the kernel's siginfo.
    let page = unsafe { (*info).address } & !(PAGE - 1);
    assert_eq!(read(page + 9, &mut [0; 300]), fault(0, Signal::Segv, 2));
    INSIDE.fetch_add(1, Ordering::Relaxed);
    let span = crate::unit::Span::new(page, PAGE).unwrap();
    // SAFETY: (1) the test's page; (2) access is only added.
    unsafe { Linux.protect(span, crate::vm::Protection::ReadWrite) }.unwrap();
}

/// Gives the thread an alternate stack with room for several frames, which Rust's own has not.
fn enlarge_alternate_stack() {
    #[repr(C)]
    struct Stack {
        base: *mut u8,
        flags: c_int,
        len: usize,
    }
    unsafe extern "C" {
        fn sigaltstack(new: *const Stack, old: *mut Stack) -> c_int;
    }
    let len = 256 * 1024;
    let base = at(Linux.map(crate::unit::Bytes(len)).unwrap().base());
    let new = Stack { base, flags: 0, len };
    // SAFETY: sigaltstack reads the new stack's description; the mapping lives as long as the process.
    assert_eq!(unsafe { sigaltstack(&raw const new, null_mut()) }, 0);
}

#[test]
fn a_copy_may_fault_inside_a_handler_of_the_same_signal() {
    in_child(|| {
        enlarge_alternate_stack();
        let handler = (copy_inside as *const ()).expose_provenance();
        action(Signal::Segv, handler, SA_SIGINFO);
        install(Signal::Segv).unwrap();
        let span = Linux.reserve(Bytes(PAGE)).unwrap();
        // SAFETY: the page becomes accessible by the handler.
        unsafe { at(span.base()).write_volatile(5) };
        assert_eq!(INSIDE.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_forked_child_has_the_handler() {
    in_child(|| {
        install(Signal::Bus).unwrap();
        let base = truncated().base();
        in_child(|| {
            assert!(was_installed(Signal::Bus) && is_installed(Signal::Bus));
            assert_eq!(read(base + PAGE - 70, &mut [0; 200]), fault(70, Signal::Bus, 2));
        });
        assert_eq!(read(base + PAGE - 70, &mut [0; 200]), fault(70, Signal::Bus, 2));
    });
}

#[test]
fn a_blocked_signal_is_said_to_be_and_kills() {
    let end = end_of_child(|| {
        install(Signal::Bus).unwrap();
        assert!(!is_blocked(Signal::Bus) && !is_blocked(Signal::Segv));
        let mask = 1u64 << 6;
        let set = (&raw const mask).expose_provenance();
        // SAFETY: (1) SIG_BLOCK reads a live u64.
        unsafe { syscall4(Call::RT_SIGPROCMASK, 0, set, 0, 8) }.unwrap();
        assert!(is_blocked(Signal::Bus) && !is_blocked(Signal::Segv));
        // Some emulators raise it over and over instead. Seconds of RLIMIT_CPU end that.
        limit(0, 10);
        _ = read(truncated().base() + PAGE, &mut [0; 8]);
    });
    assert_eq!(end, Err(7));
}

static OURS: AtomicUsize = AtomicUsize::new(0);

/// Installed after ours, passes on to it.
unsafe extern "C" fn in_front(number: c_int, info: *mut Info, context: *mut c_void) {
    INSIDE.fetch_add(1, Ordering::Relaxed);
    let ours = with_exposed_provenance::<()>(OURS.load(Ordering::Relaxed));
    // SAFETY: the handler that was there before, with what the kernel passed.
    unsafe { core::mem::transmute::<*const (), Handler>(ours)(number, info, context) };
}

#[test]
fn a_handler_in_front_may_pass_faults_on() {
    in_child(|| {
        // Rust's own action, which takes a signal that is sent for a fault that will come again.
        action(Signal::Bus, SIG_DFL, 0);
        install(Signal::Bus).unwrap();
        OURS.store(query(Signal::Bus).unwrap().handler, Ordering::Relaxed);
        let front = (in_front as *const ()).expose_provenance();
        action(Signal::Bus, front, SA_SIGINFO);
        assert!(was_installed(Signal::Bus) && !is_installed(Signal::Bus));
        let end = truncated().base() + PAGE;
        // SAFETY: (1) behind the end of the file.
        assert_eq!(unsafe { load_u8(at(end)) }.map(|_| ()), fault(0, Signal::Bus, 2));
        assert_eq!(INSIDE.load(Ordering::Relaxed), 1);
        assert_eq!(read(end - 3, &mut [0; 8]), fault(3, Signal::Bus, 2));
        // A signal that is sent goes through both to the default action.
        assert_eq!(end_of_child(|| send(Signal::Bus)), Err(7));
        assert!(!is_installed(Signal::Bus));
    });
}
