//! [`copy`], and accesses of one word, to memory that may fault, with the fault as an error instead of a
//! signal.
//!
//! For mappings of files that somebody may truncate, and for experiments. Owns a copy routine in
//! assembly, guarded loads and stores, and a signal handler that knows their instructions: a SIGBUS or
//! SIGSEGV that one of them raises resumes behind it. Every other signal goes to the action that was
//! installed before, with the same arguments, or takes its default course with the true core.
//!
//! The handler uses no lock, no thread-local variable, no long jump: it works in every thread, on the
//! alternate stack, nested in other handlers, and on both sides of a fork. It is installed only by
//! [`install`], never removed, and never put back in front of a handler that somebody installs later.
//! While the signal is blocked in a thread, a fault there still kills the process: see [`is_blocked`].
//!
//! The instruction alone decides, not the fault's address: a guarded instruction touches nothing but the
//! memory it guards, and the kernel raises what it raises at the instruction that did it. Signals with no
//! such origin are told by their code: sent by a process, by failing memory, by a lack of room for a frame.
//!
//! The handler runs on the thread's alternate stack where it has one. A frame there takes what
//! `getauxval(AT_MINSIGSTKSZ)` says: 3.5 KiB with AVX-512, 11 KiB with AMX. Rust's threads have room for
//! one: code that runs on that stack and faults itself, guarded or not, needs a larger one.
#![allow(unsafe_code)]

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod site;
mod word;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as arch;
pub use word::{
    compare_exchange_u32, compare_exchange_u64, fetch_add_u32, fetch_add_u64, load_u8, load_u16, load_u32,
    load_u64, store_u8, store_u16, store_u32, store_u64,
};
#[cfg(target_arch = "x86_64")]
use x86_64 as arch;

use crate::errno::Errno;
use crate::futex;
use crate::syscall::{Call, syscall3, syscall4};
use crate::thread::{getpid, gettid};
use crate::unit::Bytes;
use core::ffi::{c_int, c_void};
use core::ptr::{null, null_mut, with_exposed_provenance};
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};
use core::time::Duration;
use site::Registers;

/// A signal that a faulting access raises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGBUS: no page could be had: past the end of the file, a failed disk, an empty hugetlb pool.
    Bus,
    /// SIGSEGV: nothing is mapped there (code 1, MAPERR), or not for this access (2, ACCERR; 4, PKUERR);
    /// on x86_64 also an address that is none (128, KERNEL).
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

/// A fault in the middle of a [`copy`], or of an access of one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The bytes copied before it: the offset of the first one that could not be. 0 for a word.
    pub offset: Bytes,
    /// What the kernel raised.
    pub signal: Signal,
    /// Its `si_code`.
    pub code: i32,
}

/// What a site was told in its register of causes.
#[cold]
fn fault(cause: u64, offset: usize) -> Fault {
    let is_bus = (cause >> 32) as c_int == Signal::Bus.number();
    Fault {
        offset: Bytes(offset),
        signal: if is_bus { Signal::Bus } else { Signal::Segv },
        code: cause as u32 as i32,
    }
}

/// Copies `len` bytes until one cannot be read or written. As fast as the C library's memcpy.
///
/// Without [`install`] for the signal that is raised, that one takes its course instead; nor are wide
/// vectors used before the first [`install`].
///
/// # Errors
/// Where it stopped and why. The bytes before that offset have been copied, and on x86_64 none from it on
/// has been written. On aarch64 one store of up to 32 bytes that straddles it may have been written in
/// part. Both hold for memory that keeps its faults during the call: bytes may be accessed twice, so if
/// they fault only the second time, more has been written than the offset says.
///
/// # Safety
/// 1. The two ranges do not overlap or wrap.
/// 2. Each byte of `from` faults or may be read, each byte of `to` faults or may be written, by the
///    rules of Rust: nobody else's memory has been mapped there. Other processes may change either
///    meanwhile; what is copied is then any mixture.
#[inline]
pub unsafe fn copy(from: *const u8, to: *mut u8, len: Bytes) -> Result<(), Fault> {
    // SAFETY: the ranges are apart, and readable and writable where they do not fault (1, 2).
    let outcome = unsafe { arch::copy_bytes(to, from, len.0) };
    match outcome.cause {
        0 => Ok(()),
        cause => Err(fault(cause, len.0 - outcome.left)),
    }
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

/// How often somebody who is busy is waited for, a millisecond each time.
const PATIENCE: u32 = 50;

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
    // Who is busy may live in another process: this one was forked meanwhile. So nobody waits for long, and
    // what is done twice is done once.
    for _ in 0..PATIENCE {
        match state
            .stage
            .compare_exchange(ABSENT, BUSY, Ordering::Acquire, Ordering::Acquire)
        {
            Ok(_) => break,
            Err(INSTALLED) => return Ok(()),
            Err(_) => _ = futex::wait(&state.stage, BUSY, Some(Duration::from_millis(1))),
        }
    }
    arch::measure();
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
    if old.handler == own_handler() {
        return Ok(());
    }
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

/// Whether [`install`] has succeeded for `signal` in this process or a parent, whoever has replaced the
/// handler since. One load, where [`is_installed`] is a system call.
#[must_use]
pub fn was_installed(signal: Signal) -> bool {
    signal.state().stage.load(Ordering::Acquire) == INSTALLED
}

/// Whether the calling thread blocks `signal`, so that a fault kills the process whatever is installed. Also
/// true if a sandbox does not let it know. One system call (rt_sigprocmask(2)).
#[must_use]
pub fn is_blocked(signal: Signal) -> bool {
    const SIG_BLOCK: usize = 0;
    let mut mask = 0u64;
    let now = (&raw mut mask).expose_provenance();
    // SAFETY: (1) without a new mask the call only writes the present one, 8 bytes, to `mask`.
    let outcome = unsafe { syscall4(Call::RT_SIGPROCMASK, SIG_BLOCK, 0, now, size_of::<u64>()) };
    outcome.is_err() || mask & (1 << (signal.number() - 1)) != 0
}

/// Whether the instruction that was interrupted raised the signal. A code of 0 or less means that a
/// process sent it; BUS_MCEERR_AO (5) reports memory that failed anywhere, SEGV_MTEAERR (8) an access that
/// is long past. SI_KERNEL (128) comes from an address that is none, but also when the frame of another
/// signal found no room on its stack: `trap`, the processor's number of the thread's last one, tells.
fn is_of_the_instruction(number: c_int, code: c_int, trap: usize) -> bool {
    const MCEERR_AO: c_int = 5;
    const MTEAERR: c_int = 8;
    const KERNEL: c_int = 128;
    code > 0
        && match Signal::of(number) {
            Some(Signal::Bus) => code != MCEERR_AO && code != KERNEL,
            Some(Signal::Segv) => code != MTEAERR && (code != KERNEL || arch::ADDRESS_TRAPS.contains(&trap)),
            None => false,
        }
}

/// The kernel's siginfo_t, as far as it is read here.
#[repr(C)]
struct Info {
    number: c_int,
    error: c_int,
    code: c_int,
    #[cfg(test)]
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
    let (code, registers) = unsafe { ((*info).code, Registers::of(context)) };
    if is_of_the_instruction(number, code, registers.trap()) {
        let cause = (u64::from(number.cast_unsigned()) << 32) | u64::from(code.cast_unsigned());
        // SAFETY: (1) just tested.
        if unsafe { registers.leave_site(cause) } {
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
