//! `copy_out`, `copy_in`: every touch of memory that may fault.
//!
//! Owns the choice of means. What a fault means is found after it, in [`crate::backing`]. The first access
//! installs neap-os's handler for SIGBUS and SIGSEGV, which knows its own copy routine and passes every other
//! fault on; a program that wants no handler says so with [`use_means`] before, and is served by system
//! calls, which are slower. Never forms a reference to volatile memory. Works in every thread and on both
//! sides of a fork; while a thread blocks SIGBUS or SIGSEGV, or once another handler was installed that does
//! not pass faults on, a fault kills the process as it would without this library: [`Means::SystemCalls`] has
//! no such limit.
#![allow(unsafe_code)]

use crate::backing;
use crate::diagnosis;
use crate::error::{Error, Feature, Kind};
use crate::operation::Operation;
use neap_os::advice::{self, Hint};
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::fault::{self, Fault, Signal};
use neap_os::transfer;
use neap_os::unit::{Bytes, Span};
use std::sync::atomic::{AtomicU8, Ordering};
use zerocopy::FromBytes;

/// How memory that may fault is accessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Means {
    /// By a copy routine, whose faults a signal handler turns into errors. At the speed of memcpy.
    Handler,
    /// By `process_vm_readv` and `process_vm_writev` on this process: no handler; slower, above all for small
    /// accesses. `EPERM` in sandboxes that forbid them.
    SystemCalls,
}

const UNDECIDED: u8 = 0;
const HANDLER: u8 = 1;
const SYSTEM_CALLS: u8 = 2;

static MEANS: AtomicU8 = AtomicU8::new(UNDECIDED);

/// Says how memory that may fault is to be accessed, from now on, in the whole process. Without it the first
/// access chooses [`Means::Handler`]. Installing the handler again after somebody replaced it is not
/// attempted.
///
/// # Errors
/// [`Kind::Other`] when the handler cannot be installed.
pub fn use_means(means: Means) -> Result<(), Error> {
    let state = match means {
        Means::SystemCalls => SYSTEM_CALLS,
        Means::Handler => {
            for signal in [Signal::Bus, Signal::Segv] {
                fault::install(signal)
                    .map_err(|errno| Error::answered(Operation::Catch, errno, Kind::Other))?;
            }
            HANDLER
        }
    };
    MEANS.store(state, Ordering::Release);
    Ok(())
}

/// Whether a fault of this thread in this crate's routines becomes an error at this moment, as far as the
/// process's actions and the thread's mask say: nobody has replaced the handler, and the thread blocks
/// neither SIGBUS nor SIGSEGV. Makes three system calls, so it is for diagnosis, not for every access.
#[must_use]
pub fn is_caught() -> bool {
    if MEANS.load(Ordering::Acquire) == SYSTEM_CALLS {
        return true;
    }
    fault::is_installed(Signal::Bus) && fault::is_installed(Signal::Segv) && !is_blocked()
}

fn is_blocked() -> bool {
    // SAFETY: an array of integers that the second call fills in; without a new mask it changes nothing.
    unsafe {
        let mut mask = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut mask);
        [libc::SIGBUS, libc::SIGSEGV]
            .iter()
            .any(|&signal| libc::sigismember(&raw const mask, signal) == 1)
    }
}

/// Whether faults are turned into errors by the handler; the first call decides.
#[inline]
pub(crate) fn has_handler() -> bool {
    match MEANS.load(Ordering::Acquire) {
        HANDLER => true,
        SYSTEM_CALLS => false,
        _ => decide(),
    }
}

#[cold]
fn decide() -> bool {
    let fallback = || MEANS.store(SYSTEM_CALLS, Ordering::Release);
    use_means(Means::Handler).inspect_err(|_| fallback()).is_ok()
}

/// A fault of an access to `len` bytes from `base` on.
#[cold]
pub(crate) fn of_fault(operation: Operation, fault: Fault, base: usize, len: usize) -> Error {
    const MAPERR: i32 = 1;
    const MEMORY_ERRORS: [i32; 2] = [4, 5];
    let done = fault.offset.0;
    let kind = match fault.signal {
        // So is a guard, which is mapped.
        Signal::Segv if fault.code == MAPERR && !backing::is_mapped(base + done) => Kind::NotMapped,
        Signal::Segv => Kind::Inaccessible,
        Signal::Bus if MEMORY_ERRORS.contains(&fault.code) => Kind::HardwareFailure,
        Signal::Bus => backing::why_unavailable(operation, base + done),
    };
    Error::found(operation, kind).at(done as u64, (len - done) as u64)
}

/// What the kernel could not fault in, of `pages`.
pub(crate) fn of_probe(errno: Errno, pages: Span) -> Error {
    let operation = Operation::Residency;
    match errno {
        Errno::EFAULT => {
            // It does not say where: look where the first page is missing that can be found by asking each.
            let step = page_size();
            let is_missing =
                |at: &usize| advice::hint(Span::new(*at, step).expect("within"), Hint::PopulateRead).is_err();
            let at = (pages.base()..pages.base() + pages.len())
                .step_by(step)
                .find(is_missing);
            Error::answered(
                operation,
                errno,
                backing::why_refused(Operation::Read, at.unwrap_or(pages.base())),
            )
        }
        Errno::EINVAL => Error::answered(operation, errno, Kind::Unsupported(Feature::Advice)),
        Errno::EHWPOISON => Error::answered(operation, errno, Kind::HardwareFailure),
        errno => diagnosis::of(operation, errno),
    }
}

/// Copies from memory that may fault. What the error's range starts at is the first byte that was not copied.
///
/// # Safety
/// 1. `from` and the `to.len()` bytes behind it are an area's own, or fault.
pub(crate) unsafe fn copy_out(from: *const u8, to: &mut [u8]) -> Result<(), Error> {
    if has_handler() {
        // SAFETY: (1) `to` is an exclusive reference, so it overlaps no other memory; (2) `from` is an
        // area's own or faults (1).
        return unsafe { fault::copy(from, to.as_mut_ptr(), Bytes(to.len())) }
            .map_err(|fault| of_fault(Operation::Read, fault, from.addr(), to.len()));
    }
    let len = to.len();
    by_calls(Operation::Read, from.addr(), len, |done| {
        transfer::read_self(from.addr() + done, &mut to[done..])
    })
}

/// Copies into memory that may fault. What the error's range starts at is the first byte that was not copied.
///
/// # Safety
/// 1. `to` and the `from.len()` bytes behind it are an area's own, or fault.
/// 2. No reference to them lives.
pub(crate) unsafe fn copy_in(from: &[u8], to: *mut u8) -> Result<(), Error> {
    if has_handler() {
        // SAFETY: (1) no reference to `to` lives (2), so `from` is elsewhere; (2) `to` is an area's own or
        // faults (1).
        return unsafe { fault::copy(from.as_ptr(), to, Bytes(from.len())) }
            .map_err(|fault| of_fault(Operation::Write, fault, to.addr(), from.len()));
    }
    by_calls(Operation::Write, to.addr(), from.len(), |done| {
        // SAFETY: (1) the bytes are an area's own (1), and no reference to them lives (2).
        unsafe { transfer::write_self(to.addr() + done, &from[done..]) }
    })
}

/// Loads a value of 1, 2, 4 or 8 bytes that lies at a multiple of its size in one instruction. `None`: it is
/// no such value, or there is no handler.
///
/// # Safety
/// 1. As [`copy_out`], of the value's bytes.
#[inline]
pub(crate) unsafe fn load_word<T: FromBytes>(from: *const u8) -> Option<Result<T, Error>> {
    let size = size_of::<T>();
    if !matches!(size, 1 | 2 | 4 | 8) || !from.addr().is_multiple_of(size) || !has_handler() {
        return None;
    }
    // SAFETY: (1) the word's bytes are an area's own or fault (1).
    let word = unsafe {
        match size {
            1 => fault::load_u8(from).map(u64::from),
            2 => fault::load_u16(from.cast()).map(u64::from),
            4 => fault::load_u32(from.cast()).map(u64::from),
            _ => fault::load_u64(from.cast()),
        }
    };
    // The first bytes of the wider word, as both architectures are little-endian.
    const { assert!(cfg!(target_endian = "little")) };
    match word {
        Ok(word) => T::read_from_prefix(&word.to_le_bytes())
            .ok()
            .map(|(value, _)| Ok(value)),
        Err(fault) => Some(Err(of_fault(Operation::Read, fault, from.addr(), size))),
    }
}

/// Stores such a value in one instruction.
///
/// # Safety
/// 1. As [`copy_in`], of the value's bytes.
/// 2. As there.
#[inline]
pub(crate) unsafe fn store_word(from: &[u8], to: *mut u8) -> Option<Result<(), Error>> {
    let size = from.len();
    if !matches!(size, 1 | 2 | 4 | 8) || !to.addr().is_multiple_of(size) || !has_handler() {
        return None;
    }
    // SAFETY: (1) the word's bytes are an area's own or fault (1), and nobody refers to them (2).
    let outcome = unsafe {
        match *from {
            [a] => fault::store_u8(to, a),
            [a, b] => fault::store_u16(to.cast(), u16::from_le_bytes([a, b])),
            [a, b, c, d] => fault::store_u32(to.cast(), u32::from_le_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => {
                fault::store_u64(to.cast(), u64::from_le_bytes([a, b, c, d, e, f, g, h]))
            }
            _ => return None,
        }
    };
    Some(outcome.map_err(|fault| of_fault(Operation::Write, fault, to.addr(), size)))
}

/// Copies between two parts of areas that may both fault. What the error's range starts at is the first byte
/// that was not copied; its operation says on which side.
///
/// # Safety
/// 1. `from` and `to` and the `len` bytes behind each are an area's own, or fault, and do not overlap.
/// 2. No reference to the bytes at `to` lives.
pub(crate) unsafe fn copy_across(from: *const u8, to: *mut u8, len: usize) -> Result<(), Error> {
    const STEP: usize = 4096;
    if has_handler() {
        // SAFETY: (1) they do not overlap (1); (2) an area's own, or fault (1), and no reference to what is
        // written lives (2).
        let Err(fault) = (unsafe { fault::copy(from, to, Bytes(len)) }) else {
            return Ok(());
        };
        // The fault does not say on which side: whether the byte can be read does.
        let done = fault.offset.0;
        // SAFETY: (1) as given.
        if let Err(error) = unsafe { copy_out(from.wrapping_add(done), &mut [0]) } {
            return Err(error.at(done as u64, (len - done) as u64));
        }
        return Err(of_fault(Operation::Write, fault, to.addr(), len));
    }
    let mut buffer = [0; STEP];
    for done in (0..len).step_by(STEP) {
        let part = &mut buffer[..STEP.min(len - done)];
        let on = |error: Error| {
            let start = done as u64 + error.range().start;
            error.at(start, len as u64 - start)
        };
        // SAFETY: (1) and (2) as given, of a part.
        unsafe {
            let read = copy_out(from.wrapping_add(done), part);
            let had = read
                .as_ref()
                .err()
                .map_or(part.len(), |error| error.range().start as usize);
            copy_in(&part[..had], to.wrapping_add(done)).map_err(on)?;
            read.map_err(on)?;
        }
    }
    Ok(())
}

/// Calls until all is done: a call that ends early is followed by one that says why.
fn by_calls(
    operation: Operation,
    base: usize,
    len: usize,
    mut call: impl FnMut(usize) -> Result<usize, Errno>,
) -> Result<(), Error> {
    let mut done = 0;
    while done < len {
        let kind = match call(done) {
            Ok(more) if more > 0 => {
                done += more;
                continue;
            }
            Ok(_) | Err(Errno::EFAULT) => backing::why_refused(operation, base + done),
            Err(Errno::EPERM) => Kind::NotPermitted,
            Err(_) => Kind::Other,
        };
        return Err(Error::found(operation, kind).at(done as u64, (len - done) as u64));
    }
    Ok(())
}
