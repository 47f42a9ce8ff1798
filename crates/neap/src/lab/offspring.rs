//! Children of an experiment: what must not happen in its own process happens in a copy of it.
//!
//! Owns fork, the wait, and the signal handler that tells a fault. A child says nothing to the observer:
//! `&mut self` keeps the [`Hand`] out of its body. It never returns into the experiment: it ends in
//! `_exit`, also when its body unwinds. Between fork and the body nothing is allocated and nothing
//! locked, so a child of a process with threads is as good as one of a process without; what the body
//! does is its own affair.
//!
//! A child leaves no core file: its RLIMIT_CORE is 1, which the kernel takes for "none", also where
//! core_pattern is a pipe (core(5)).
#![allow(unsafe_code, reason = "fork, signal handlers and their memory")]

use std::ffi::{c_int, c_void};
use std::fmt::{self, Display};
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use super::hand::{Hand, Stop, cannot};

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// By its own will, with this code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl Display for End {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exited(code) => write!(to, "exit code {code}"),
            End::Killed(libc::SIGSEGV) => to.write_str("killed by SIGSEGV"),
            End::Killed(libc::SIGBUS) => to.write_str("killed by SIGBUS"),
            End::Killed(libc::SIGKILL) => to.write_str("killed by SIGKILL"),
            End::Killed(libc::SIGABRT) => to.write_str("killed by SIGABRT"),
            End::Killed(signal) => write!(to, "killed by signal {signal}"),
        }
    }
}

/// What the kernel said of an access that it did not allow (sigaction(2), siginfo_t).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    /// SIGSEGV or SIGBUS.
    pub(crate) signal: i32,
    /// si_code.
    pub(crate) code: i32,
    /// si_addr: what was accessed.
    pub(crate) address: usize,
}

impl Fault {
    /// The name of its si_code, which tells the signal, too.
    pub(crate) const fn name(&self) -> &'static str {
        match (self.signal, self.code) {
            (libc::SIGSEGV, 1) => "SEGV_MAPERR",
            (libc::SIGSEGV, 2) => "SEGV_ACCERR",
            (libc::SIGSEGV, 3) => "SEGV_BNDERR",
            (libc::SIGSEGV, 4) => "SEGV_PKUERR",
            (libc::SIGSEGV, _) => "SIGSEGV with another code",
            (libc::SIGBUS, 1) => "BUS_ADRALN",
            (libc::SIGBUS, 2) => "BUS_ADRERR",
            (libc::SIGBUS, 3) => "BUS_OBJERR",
            (libc::SIGBUS, 4) => "BUS_MCEERR_AR",
            (libc::SIGBUS, 5) => "BUS_MCEERR_AO",
            _ => "SIGBUS with another code",
        }
    }
}

impl Display for Fault {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} at {:#x}", self.name(), self.address)
    }
}

/// Exit code of a child whose body panicked, where a panic unwinds.
const PANICKED: i32 = 101;
/// Exit code of a child in which the handler could not be installed.
const NO_HANDLER: i32 = 102;

impl Hand {
    /// Runs `body` in a forked child, whose exit code is what it answers with, and waits for its end. A panic
    /// is exit code 101, or SIGABRT where panics abort.
    pub(crate) fn in_child(&mut self, body: impl FnOnce() -> u8) -> Result<End, Stop> {
        // SAFETY: fork has no condition; what its child may do is argued below and in the module's doc.
        match unsafe { libc::fork() } {
            -1 => Err(cannot(
                format!("fork: {}", std::io::Error::last_os_error()),
                "see the limit of processes: neap doctor",
            )),
            0 => {
                let _end = Leave;
                leave_no_core();
                let code = body();
                exit(i32::from(code))
            }
            child => Ok(wait(child)),
        }
    }

    /// Runs `child` in a forked child and `here` in this process at the same time; they take turns by the
    /// [`Turn`] that each of them has. Waits for the child's end when `here` has come to its own.
    pub(crate) fn beside<T>(
        &mut self,
        child: impl FnOnce(&Turn) -> u8,
        here: impl FnOnce(&mut Hand, &Turn) -> T,
    ) -> Result<(End, T), Stop> {
        let pipe =
            || io::pipe().map_err(|error| cannot(format!("pipe: {error}"), "see neap doctor for limits"));
        let (to_child, to_here) = (pipe()?, pipe()?);
        let childs = Turn {
            from: to_child.0,
            to: to_here.1,
        };
        let ours = Turn {
            from: to_here.0,
            to: to_child.1,
        };
        // SAFETY: fork has no condition; what its child may do is argued below and in the module's doc.
        match unsafe { libc::fork() } {
            -1 => Err(cannot(
                format!("fork: {}", io::Error::last_os_error()),
                "see the limit of processes: neap doctor",
            )),
            0 => {
                let _end = Leave;
                leave_no_core();
                // So that it hears when the other side is gone.
                drop(ours);
                let code = child(&childs);
                exit(i32::from(code))
            }
            pid => {
                drop(childs);
                let outcome = here(self, &ours);
                drop(ours);
                Ok((wait(pid), outcome))
            }
        }
    }

    /// Runs `body` in a forked child and tells the access of it that the kernel did not allow; `None`: it
    /// came to its end. Also tells faults of a stack that cannot grow: the handler has a stack of its
    /// own.
    pub(crate) fn fault_of(&mut self, body: impl FnOnce()) -> Result<Option<Fault>, Stop> {
        let place = Place::new()?;
        let end = self.in_child(|| {
            if !install(&place) {
                exit(NO_HANDLER);
            }
            body();
            0
        })?;
        if let Some(fault) = place.told() {
            return Ok(Some(fault));
        }
        if end == End::Exited(0) {
            return Ok(None);
        }
        Err(cannot(
            format!("the child neither faulted nor came to its end: {end}"),
            "look for what kills processes on this machine",
        ))
    }

    /// The access was refused with this si_code, by its name, such as `SEGV_MAPERR`.
    pub(crate) fn expect_fault(&mut self, what: &str, name: &str, found: Option<Fault>) {
        let holds = found.is_some_and(|fault| fault.name() == name);
        let found = found.map_or_else(|| "no fault".to_owned(), |fault| fault.to_string());
        self.expect(what, name, found, holds);
    }

    /// The access was allowed.
    pub(crate) fn expect_no_fault(&mut self, what: &str, found: Option<Fault>) {
        let text = found.map_or_else(|| "no fault".to_owned(), |fault| fault.to_string());
        self.expect(what, "no fault", text, found.is_none());
    }
}

/// One side of two processes that take turns.
#[derive(Debug)]
pub(crate) struct Turn {
    from: PipeReader,
    to: PipeWriter,
}

impl Turn {
    /// It is the other's turn now.
    pub(crate) fn give(&self) {
        // Nobody is left to hear it only if the other side has ended: `take` tells.
        let _ = (&self.to).write_all(b"!");
    }

    /// Waits until it is one's own turn; `false` if the other side has ended.
    pub(crate) fn take(&self) -> bool {
        (&self.from).read_exact(&mut [0]).is_ok()
    }

    /// Has the other side do what it does next, and waits until that is done.
    pub(crate) fn pass(&self) -> bool {
        self.give();
        self.take()
    }
}

/// Ends the child when its body unwinds: it must not run on as the experiment.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        exit(PANICKED);
    }
}

/// Ends the process without running anything of it.
fn exit(code: i32) -> ! {
    // SAFETY: _exit has no condition; it runs no handler of exit and flushes nothing.
    unsafe { libc::_exit(code) }
}

fn wait(child: libc::pid_t) -> End {
    let mut status = 0;
    // SAFETY: waitpid writes to the integer it is given, which lives here.
    while unsafe { libc::waitpid(child, &raw mut status, 0) } == -1 {
        let error = std::io::Error::last_os_error();
        assert_eq!(error.kind(), std::io::ErrorKind::Interrupted, "waitpid: {error}");
    }
    if libc::WIFSIGNALED(status) {
        End::Killed(libc::WTERMSIG(status))
    } else {
        End::Exited(libc::WEXITSTATUS(status))
    }
}

fn leave_no_core() {
    let none = libc::rlimit {
        rlim_cur: 1,
        rlim_max: 1,
    };
    // SAFETY: setrlimit reads the structure it is given, which lives here. A refusal (the hard limit is
    // 0) means that there are no cores anyway.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
}

/// Where a child tells its fault: the first bytes of shared memory; the rest is the handler's stack.
struct Place {
    base: ptr::NonNull<Word>,
}

/// Written by the child's handler, `told` last; read by its parent when it has ended.
struct Word {
    told: AtomicU32,
    signal: AtomicI32,
    code: AtomicI32,
    address: AtomicUsize,
}

/// Bytes of a [`Place`]: above AT_MINSIGSTKSZ of any processor, and whole pages of at most 64 KiB.
const PLACE: usize = 128 << 10;
/// Where in it the handler's stack begins.
const STACK: usize = 64 << 10;

/// Where this process's handler tells: set in a child before its handler is installed.
static TELL: AtomicPtr<Word> = AtomicPtr::new(ptr::null_mut());

impl Place {
    fn new() -> Result<Place, Stop> {
        // SAFETY: a new mapping without a wish for its address touches nothing that is mapped.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                PLACE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            let error = std::io::Error::last_os_error();
            return Err(cannot(format!("mmap: {error}"), "see neap doctor for limits"));
        }
        ptr::NonNull::new(base.cast())
            .map(|base| Place { base })
            .ok_or_else(|| cannot("mmap answered with 0", "no kernel does"))
    }

    /// What the child told.
    fn told(&self) -> Option<Fault> {
        // SAFETY: `new` mapped whole pages at `base`, readable, writable and zero, which is a Word; the
        // mapping lives as long as `self`. Its fields are atomic: another process may write them.
        let word = unsafe { self.base.as_ref() };
        (word.told.load(Ordering::Acquire) == 1).then(|| Fault {
            signal: word.signal.load(Ordering::Relaxed),
            code: word.code.load(Ordering::Relaxed),
            address: word.address.load(Ordering::Relaxed),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // SAFETY: `new` mapped these pages, nothing else has their address, and this is their end. The child,
        // whose handler may use them, has a mapping of its own.
        unsafe { libc::munmap(self.base.as_ptr().cast(), PLACE) };
    }
}

/// Installs the handler in this process, a child, on a stack in `place`. Allocates nothing.
fn install(place: &Place) -> bool {
    TELL.store(place.base.as_ptr(), Ordering::Release);
    let stack = libc::stack_t {
        ss_sp: place
            .base
            .as_ptr()
            .cast::<u8>()
            .wrapping_add(STACK)
            .cast::<c_void>(),
        ss_flags: 0,
        ss_size: PLACE - STACK,
    };
    // SAFETY: sigaltstack reads the structure, which lives here; the stack is the rear of the place,
    // mapped until this process ends, since a child never returns to where its `Place` is dropped, and
    // used by nothing else.
    if unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) } != 0 {
        return false;
    }
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = tell;
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set, which lives here.
    let mut set = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    };
    let action = libc::sigaction {
        sa_sigaction: handler as libc::sighandler_t,
        sa_mask: set,
        sa_flags: libc::SA_SIGINFO | libc::SA_ONSTACK,
        sa_restorer: None,
    };
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the set and the action live here; the handler has the signature that SA_SIGINFO asks
        // for and does only what may be done in a handler: stores to atomics and _exit.
        let is_set = unsafe {
            libc::sigaddset(&raw mut set, signal);
            libc::sigaction(signal, &raw const action, ptr::null_mut()) == 0
        };
        if !is_set {
            return false;
        }
    }
    // A blocked signal of a fault would kill without the handler.
    // SAFETY: the set lives here, and the old one is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut()) == 0 }
}

extern "C" fn tell(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: `install` stored the place's address before it installed this handler, and the place is
    // mapped until the process ends, by `Place::told`'s argument; with SA_SIGINFO the kernel gives the
    // address of a siginfo_t, whose si_addr is set for the two signals that this handles.
    let (word, code, address) = unsafe {
        (
            &*TELL.load(Ordering::Acquire),
            (*info).si_code,
            (*info).si_addr().addr(),
        )
    };
    word.signal.store(signal, Ordering::Relaxed);
    word.code.store(code, Ordering::Relaxed);
    word.address.store(address, Ordering::Relaxed);
    word.told.store(1, Ordering::Release);
    exit(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hand() -> Hand {
        Hand::new(std::env::temp_dir(), (6, 0), false)
    }

    /// A page that may not be accessed.
    fn closed() -> *mut u8 {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping without a wish for its address touches nothing that is mapped.
        let page = unsafe { libc::mmap(ptr::null_mut(), 4096, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(page, libc::MAP_FAILED);
        page.cast()
    }

    #[test]
    fn children_end_by_code_signal_or_panic() {
        let mut hand = hand();
        assert_eq!(hand.in_child(|| 7).unwrap(), End::Exited(7));
        let killed = hand.in_child(|| {
            // SAFETY: raise has no condition.
            unsafe { libc::raise(libc::SIGKILL) };
            0
        });
        assert_eq!(killed.unwrap(), End::Killed(libc::SIGKILL));
        let panicked = hand
            // Without the hook, which may wait for a lock that another thread had when this child was forked.
            .in_child(|| std::panic::resume_unwind(Box::new("expected by this test")))
            .unwrap();
        let aborted = End::Killed(libc::SIGABRT);
        assert!(
            panicked == End::Exited(PANICKED) || panicked == aborted,
            "{panicked}"
        );
    }

    #[test]
    fn two_processes_take_turns() {
        let mut hand = hand();
        let child = |turn: &Turn| {
            let first = turn.take();
            turn.give();
            // The other side ends without giving a turn.
            let second = turn.take();
            u8::from(first) + 2 * u8::from(second)
        };
        let (end, answered) = hand.beside(child, |_, turn| turn.pass()).unwrap();
        assert!(answered);
        assert_eq!(end, End::Exited(1));
        let (end, answered) = hand.beside(|_| 3, |_, turn| turn.pass()).unwrap();
        assert!(!answered, "the child has ended without giving a turn");
        assert_eq!(end, End::Exited(3));
    }

    #[test]
    fn faults_are_told_with_code_and_address() {
        let mut hand = hand();
        let page = closed();
        // SAFETY: in a child, whose end by a fault is what is looked for.
        let fault = hand.fault_of(|| unsafe { page.add(8).write_volatile(1) });
        let expected = Fault {
            signal: libc::SIGSEGV,
            code: 2,
            address: page.addr() + 8,
        };
        assert_eq!(fault.unwrap(), Some(expected));
        assert_eq!(expected.name(), "SEGV_ACCERR");
        assert_eq!(hand.fault_of(|| ()).unwrap(), None);
    }
}
