//! `copy_out`, `copy_in`: every touch of memory that may fault.
//!
//! The first access installs neap-os's handler for SIGBUS and SIGSEGV, which knows its own copy routine and
//! passes every other fault on. Never forms a reference to volatile memory. Works in every thread and on both
//! sides of a fork; while a thread blocks SIGBUS or SIGSEGV, or once another handler was installed that does
//! not pass faults on, a fault kills the process as it would without this library.
#![allow(unsafe_code)]

use crate::error::{Error, Kind};
use crate::operation::Operation;
use neap_os::errno::Errno;
use neap_os::fault::{self, Fault, Signal};
use neap_os::unit::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};

static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Installs the handler unless it has been.
fn prepare(operation: Operation) -> Result<(), Error> {
    if INSTALLED.load(Ordering::Acquire) {
        return Ok(());
    }
    install().map_err(|errno| Error::answered(operation, errno, Kind::Other))
}

#[cold]
fn install() -> Result<(), Errno> {
    fault::install(Signal::Bus)?;
    fault::install(Signal::Segv)?;
    INSTALLED.store(true, Ordering::Release);
    Ok(())
}

fn of_fault(operation: Operation, fault: Fault, len: usize) -> Error {
    const MEMORY_ERRORS: [i32; 2] = [4, 5];
    let kind = match fault.signal {
        Signal::Segv => Kind::Inaccessible,
        Signal::Bus if MEMORY_ERRORS.contains(&fault.code) => Kind::HardwareFailure,
        Signal::Bus => Kind::PageUnavailable,
    };
    Error::found(operation, kind).at(fault.offset.0 as u64, (len - fault.offset.0) as u64)
}

/// Copies from memory that may fault. What the error's range starts at is the first byte that was not copied.
///
/// # Safety
/// 1. `from` and the `to.len()` bytes behind it are an area's own, or fault.
pub(crate) unsafe fn copy_out(from: *const u8, to: &mut [u8]) -> Result<(), Error> {
    prepare(Operation::Read)?;
    // SAFETY: (1) `to` is an exclusive reference, so it overlaps no other memory; (2) `from` is an area's own
    // or faults (1).
    unsafe { fault::copy(from, to.as_mut_ptr(), Bytes(to.len())) }
        .map_err(|fault| of_fault(Operation::Read, fault, to.len()))
}

/// Copies into memory that may fault. What the error's range starts at is the first byte that was not copied.
///
/// # Safety
/// 1. `to` and the `from.len()` bytes behind it are an area's own, or fault.
/// 2. No reference to them lives.
pub(crate) unsafe fn copy_in(from: &[u8], to: *mut u8) -> Result<(), Error> {
    prepare(Operation::Write)?;
    // SAFETY: (1) no reference to `to` lives (2), so `from` is elsewhere; (2) `to` is an area's own or faults
    // (1).
    unsafe { fault::copy(from.as_ptr(), to, Bytes(from.len())) }
        .map_err(|fault| of_fault(Operation::Write, fault, from.len()))
}
