//! [`copy`]: copying from or to memory that may fault, with the fault as an error instead of a signal.
//!
//! For mappings of files that somebody may truncate, and for experiments. Owns a copy routine in
//! assembly and a signal handler that knows it: a SIGBUS or SIGSEGV raised by that routine, at an
//! address it was about to touch, resumes behind the routine. Every other signal goes to the action
//! that was installed before, with the same arguments, or takes its default course with the true core.
//!
//! The handler uses no lock, no thread-local variable, no long jump: it works in every thread, on the
//! alternate stack, nested in other handlers, and on both sides of a fork. It is installed only by
//! [`install`], never removed, and never put back in front of a handler that somebody installs later.
//! While the signal is blocked in a thread, a fault there still kills the process.
#![allow(unsafe_code)]

mod arch;

use crate::errno::Errno;
use crate::futex;
use crate::syscall::{Call, syscall3};
use crate::thread::{getpid, gettid};
use crate::unit::Bytes;
use arch::Registers;
use core::ffi::{c_int, c_void};
use core::ptr::{null, null_mut, with_exposed_provenance};
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};
use core::time::Duration;

/// A signal that a faulting access raises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGBUS: no page could be had: past the end of the file, a failed disk, an empty hugetlb pool.
    Bus,
    /// SIGSEGV: nothing is mapped there (code 1, MAPERR), or not for this access (2, ACCERR; 4, PKUERR).
    Segv,
}

impl Signal {
    const fn number(self) -> c_int {
        match self {
            Signal::Bus => 7,
            Signal::Segv => 11,
        }
    }

    const fn of(number: c_int) -> Option<Signal> {
        match number {
            7 => Some(Signal::Bus),
            11 => Some(Signal::Segv),
            _ => None,
        }
    }

    const fn state(self) -> &'static State {
        match self {
            Signal::Bus => &BUS,
            Signal::Segv => &SEGV,
        }
    }
}

/// A fault in the middle of a [`copy`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The bytes copied before it: the offset of the first one that could not be.
    pub offset: Bytes,
    /// What the kernel raised.
    pub signal: Signal,
    /// Its `si_code`.
    pub code: i32,
}

/// Copies `len` bytes, in order, until a byte cannot be read or written.
///
/// Without [`install`] for the signal that is raised, that one takes its course instead.
///
/// # Errors
/// Where it stopped and why. The bytes before that have been copied.
///
/// # Safety
/// 1. The two ranges do not overlap or wrap.
/// 2. Each byte of `from` faults or may be read, each byte of `to` faults or may be written, by the
///    rules of Rust: nobody else's memory has been mapped there. Other processes may change either
///    meanwhile; what is copied is then any mixture.
pub unsafe fn copy(from: *const u8, to: *mut u8, len: Bytes) -> Result<(), Fault> {
    // SAFETY: the ranges are apart, and readable and writable where they do not fault (1, 2).
    let outcome = unsafe { arch::copy_bytes(to, from, len.0) };
    let Some(signal) = Signal::of((outcome.cause >> 32) as c_int) else {
        return Ok(());
    };
    Err(Fault {
        offset: Bytes(len.0 - outcome.left),
        signal,
        code: outcome.cause as u32 as i32,
    })
}

/// The C library's struct sigaction: the same in glibc and musl on 64-bit machines.
#[repr(C)]
struct Action {
    handler: usize,
    mask: [u64; 16],
    flags: c_int,
    restorer: usize,
}

impl Action {
    const DEFAULT: Action = Action {
        handler: SIG_DFL,
        mask: [0; 16],
        flags: 0,
        restorer: 0,
    };
}

const SIG_DFL: usize = 0;
const SIG_IGN: usize = 1;
const SA_SIGINFO: c_int = 0x4;
const SA_ONSTACK: c_int = 0x0800_0000;
const SA_NODEFER: c_int = 0x4000_0000;

#[link(name = "c")]
unsafe extern "C" {
    fn sigaction(signal: c_int, new: *const Action, old: *mut Action) -> c_int;
}

/// What is known of one signal.
struct State {
    /// [`ABSENT`], [`BUSY`] or [`INSTALLED`].
    stage: AtomicU32,
    /// The action before ours.
    old_handler: AtomicUsize,
    old_flags: AtomicI32,
}

const ABSENT: u32 = 0;
const BUSY: u32 = 1;
const INSTALLED: u32 = 2;

impl State {
    const fn new() -> State {
        State {
            stage: AtomicU32::new(ABSENT),
            old_handler: AtomicUsize::new(SIG_DFL),
            old_flags: AtomicI32::new(0),
        }
    }
}

static BUS: State = State::new();
static SEGV: State = State::new();

fn own_handler() -> usize {
    (handle as *const ()).expose_provenance()
}

fn query(signal: Signal) -> Option<Action> {
    let mut now = Action::DEFAULT;
    // SAFETY: sigaction without a new action writes the old one to `now`, which has its layout.
    let error = unsafe { sigaction(signal.number(), null(), &raw mut now) };
    (error == 0).then_some(now)
}

/// Installs the handler for `signal`. Does nothing if it has been installed before, even if somebody
/// has installed another since (which may pass faults on to this one): see [`is_installed`].
///
/// # Errors
/// `EINVAL`: the C library or a sandbox refused.
pub fn install(signal: Signal) -> Result<(), Errno> {
    let state = signal.state();
    loop {
        match state
            .stage
            .compare_exchange(ABSENT, BUSY, Ordering::Acquire, Ordering::Acquire)
        {
            Ok(_) => break,
            Err(INSTALLED) => return Ok(()),
            Err(_) => _ = futex::wait(&state.stage, BUSY, Some(Duration::from_millis(1))),
        }
    }
    let outcome = replace(signal);
    let stage = if outcome.is_ok() { INSTALLED } else { ABSENT };
    state.stage.store(stage, Ordering::Release);
    futex::wake(&state.stage, u32::MAX);
    outcome
}

fn replace(signal: Signal) -> Result<(), Errno> {
    let state = signal.state();
    // Known before ours is in place: a fault in another thread may need it at once.
    let old = query(signal).ok_or(Errno::EINVAL)?;
    state.old_flags.store(old.flags, Ordering::Relaxed);
    state.old_handler.store(old.handler, Ordering::Release);
    let flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    let new = Action {
        handler: own_handler(),
        flags,
        ..Action::DEFAULT
    };
    // SAFETY: `new` has sigaction's layout and `handle` the signature that SA_SIGINFO asks for. It is
    // async-signal-safe: atomics and system calls, and the old handler, which was installed for this.
    match unsafe { sigaction(signal.number(), &raw const new, null_mut()) } {
        0 => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// Whether this module's handler is the process's action for `signal` at this moment.
#[must_use]
pub fn is_installed(signal: Signal) -> bool {
    query(signal).is_some_and(|now| now.handler == own_handler())
}

/// The kernel's siginfo_t, as far as it is read here.
#[repr(C)]
struct Info {
    number: c_int,
    error: c_int,
    code: c_int,
    address: usize,
}

type Handler = unsafe extern "C" fn(c_int, *mut Info, *mut c_void);
type PlainHandler = unsafe extern "C" fn(c_int);

/// The handler.
///
/// # Safety
/// 1. Called by the kernel for an action with SA_SIGINFO, or with what it was called with.
unsafe extern "C" fn handle(number: c_int, info: *mut Info, context: *mut c_void) {
    // SAFETY: the kernel passes a live siginfo and ucontext (1), used by nobody else until we return.
    let (code, address, registers) = unsafe { ((*info).code, (*info).address, Registers::of(context)) };
    // A code of 0 or less means that a process sent the signal; `address` is then something else.
    if code > 0 {
        let cause = (u64::from(number.cast_unsigned()) << 32) | u64::from(code.cast_unsigned());
        // SAFETY: the registers are those that the interrupted code resumes with.
        if unsafe { registers.leave_copy(address, cause) } {
            return;
        }
    }
    // SAFETY: (1) as given.
    unsafe { pass_on(number, info, context, code > 0) }
}

/// Does what the action before ours would do.
///
/// # Safety
/// 1. As [`handle`].
unsafe fn pass_on(number: c_int, info: *mut Info, context: *mut c_void, is_fault: bool) {
    let Some(signal) = Signal::of(number) else { return };
    let handler = signal.state().old_handler.load(Ordering::Acquire);
    let flags = signal.state().old_flags.load(Ordering::Relaxed);
    match handler {
        SIG_IGN if !is_fault => {}
        SIG_DFL | SIG_IGN => {
            // The kernel kills for a fault even where the signal is ignored. On return the access
            // faults again; a signal that was sent has to be sent again.
            let default = Action::DEFAULT;
            // SAFETY: the default action runs no code. (1) tgkill to this thread delivers a signal.
            unsafe {
                sigaction(number, &raw const default, null_mut());
                if !is_fault {
                    let (process, thread) = (getpid() as usize, gettid() as usize);
                    let _ = syscall3(Call::TGKILL, process, thread, number.cast_unsigned() as usize);
                }
            }
        }
        _ if flags & SA_SIGINFO != 0 => {
            // SAFETY: not SIG_DFL or SIG_IGN, so it is the address of a function that was installed
            // with SA_SIGINFO; it gets what the kernel passed (1).
            unsafe {
                let old: Handler = core::mem::transmute(with_exposed_provenance::<()>(handler));
                old(number, info, context);
            }
        }
        _ => {
            // SAFETY: as above, installed without SA_SIGINFO.
            unsafe {
                let old: PlainHandler = core::mem::transmute(with_exposed_provenance::<()>(handler));
                old(number);
            }
        }
    }
}

#[cfg(test)]
mod tests;
