//! [`Lease`]: a file that nobody writes to before we let go, and the thread that lets go.
//!
//! A read lease (fcntl(2), `F_SETLEASE`) is given only when nobody has the file open for writing; whoever
//! then opens it for writing or truncates it waits until the holder has released it. One thread for the
//! process, started with the first lease and ended after the last, is told by the kernel, freezes what the
//! lease guards, and releases it. The signal goes to that thread alone, which has all signals blocked and
//! waits for it: no handler, and the program's signals are left as they are. Once a second it looks by
//! itself, should the kernel have had no room for a signal.
//!
//! The kernel waits for /proc/sys/fs/lease-break-time (45 s) and then lets the writer in. Whoever cannot
//! freeze before that must not go on: this module ends the process with one line.
//!
//! A child of a fork has no such thread and no leases: it gets a watch of its own when it takes one.
#![allow(unsafe_code)]

use crate::error::{Error, Feature, Kind};
use crate::operation::Operation;
use neap_os::errno::Errno;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::abort;
use std::ptr::{null_mut, with_exposed_provenance};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, mem, thread};

/// What a lease guards.
pub(crate) trait Guarded: Send + Sync {
    /// Makes it independent of the file, before `deadline` if there is one. Called once at most, by the watch
    /// or by who releases the lease.
    fn freeze(&self, deadline: Option<Instant>) -> Result<(), &'static str>;
}

/// A descriptor of its own with a lease on it.
pub(crate) struct Lease {
    file: OwnedFd,
    guarded: Arc<dyn Guarded>,
    /// Whether the lease is still to be released.
    is_held: Mutex<bool>,
}

/// The process's thread and what it watches.
struct Watch {
    process: u32,
    inner: Mutex<Watched>,
}

struct Watched {
    thread: Option<libc::pid_t>,
    leases: Vec<Arc<Lease>>,
}

/// The address of this process's [`Watch`], or of that of a process it was forked from. Each is made once and
/// never freed: a few bytes for every process that takes a lease.
static WATCH: AtomicUsize = AtomicUsize::new(0);

const F_SETSIG: libc::c_int = 10;
const F_SETOWN_EX: libc::c_int = 15;
const F_OWNER_TID: libc::c_int = 0;

/// struct f_owner_ex.
#[repr(C)]
struct Owner {
    kind: libc::c_int,
    id: libc::pid_t,
}

/// How often the thread looks without having been told.
const TICK: libc::timespec = libc::timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an fcntl succeeded.
fn answer(value: libc::c_int) -> Result<libc::c_int, Errno> {
    if value >= 0 {
        return Ok(value);
    }
    Err(Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)))
}

impl Lease {
    /// Takes a lease on `file`, a description that nobody else uses and that is open for reading only. The
    /// watch may call `guarded` from this moment on.
    ///
    /// # Errors
    /// [`Kind::Busy`]: somebody has the file open or mapped for writing; [`Kind::NotPermitted`]: the file is
    /// another user's, and the process lacks CAP_LEASE; [`Kind::Unsupported`]; [`Kind::OutOfMemory`]: no
    /// thread could be started.
    pub(crate) fn take(file: OwnedFd, guarded: Arc<dyn Guarded>) -> Result<Arc<Lease>, Error> {
        let lease = Arc::new(Lease {
            file,
            guarded,
            is_held: Mutex::new(false),
        });
        let watch = Watch::of_this_process();
        let thread = watch.add(&lease)?;
        lease.ask(thread).map_err(|errno| {
            watch.remove(&lease);
            let kind = match errno {
                Errno::EAGAIN => Kind::Busy,
                Errno::EACCES | Errno::EPERM => Kind::NotPermitted,
                Errno::EINVAL => Kind::Unsupported(Feature::Lease),
                _ => Kind::Other,
            };
            Error::answered(Operation::Lease, errno, kind)
        })?;
        Ok(lease)
    }

    /// Asks the kernel for the lease, and to tell `thread`.
    fn ask(&self, thread: libc::pid_t) -> Result<(), Errno> {
        let fd = self.file.as_raw_fd();
        let owner = Owner {
            kind: F_OWNER_TID,
            id: thread,
        };
        let mut is_held = lock(&self.is_held);
        // SAFETY: three fcntls on an open descriptor; the second reads a live struct f_owner_ex.
        unsafe {
            answer(libc::fcntl(fd, F_SETSIG, libc::SIGRTMAX()))?;
            answer(libc::fcntl(fd, F_SETOWN_EX, &raw const owner))?;
            answer(libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK))?;
        }
        *is_held = true;
        Ok(())
    }

    /// Freezes what is guarded and lets go, if somebody wants to write. Returns when that is done, whoever
    /// does it.
    pub(crate) fn look(&self, since: Instant) {
        let mut is_held = lock(&self.is_held);
        if !*is_held {
            return;
        }
        // SAFETY: an fcntl without argument on an open descriptor.
        let now = unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_GETLEASE) };
        if now == libc::F_RDLCK {
            return;
        }
        if let Err(why) = self.guarded.freeze(deadline(since)) {
            end(why);
        }
        self.let_go(&mut is_held);
    }

    /// Freezes what is guarded now, and lets go.
    pub(crate) fn freeze(&self) -> Result<(), &'static str> {
        let mut is_held = lock(&self.is_held);
        if *is_held {
            self.guarded.freeze(None)?;
            self.let_go(&mut is_held);
        }
        Ok(())
    }

    /// Nothing needs the guard any more: `gone` makes it so, while the watch can do nothing.
    pub(crate) fn release(self: &Arc<Lease>, gone: impl FnOnce()) {
        let mut is_held = lock(&self.is_held);
        gone();
        if mem::take(&mut *is_held) {
            // A lease that the kernel has taken back guarded nothing any more.
            let _ = self.unlease();
        }
        drop(is_held);
        Watch::of_this_process().remove(self);
    }

    fn let_go(&self, is_held: &mut bool) {
        *is_held = false;
        // The kernel says EAGAIN of a lease that it has taken back: then somebody may have written to the
        // file while it was still read.
        if self.unlease().is_err() {
            end("the kernel gave up waiting before the bytes were copied");
        }
    }

    /// By name, not by closing: a child of a fork has the description, too.
    fn unlease(&self) -> Result<(), Errno> {
        // SAFETY: an fcntl on an open descriptor.
        unsafe {
            answer(libc::fcntl(
                self.file.as_raw_fd(),
                libc::F_SETLEASE,
                libc::F_UNLCK,
            ))
        }
        .map(drop)
    }
}

/// Until when the kernel waits: three quarters of what it grants, from when this process knew. `None`: for
/// ever.
fn deadline(since: Instant) -> Option<Instant> {
    let text = fs::read_to_string("/proc/sys/fs/lease-break-time").unwrap_or_default();
    match text.trim().parse::<u32>() {
        Ok(0) => None,
        Ok(seconds) => Some(since + Duration::from_secs(seconds.into()) * 3 / 4),
        Err(_) => Some(since + Duration::from_secs(30)),
    }
}

/// Ends the process: a reference would see other bytes.
pub(crate) fn end(why: &str) -> ! {
    let _ = writeln!(
        std::io::stderr(),
        "neap-map: a leased file is about to change, and its bytes could not be kept: {why}"
    );
    abort()
}

impl Watch {
    fn of_this_process() -> &'static Watch {
        let process = std::process::id();
        loop {
            let address = WATCH.load(Ordering::Acquire);
            // SAFETY: 0, or the address of a leaked box, stored below; a child has a copy at the same
            // address.
            if let Some(watch) = unsafe { with_exposed_provenance::<Watch>(address).as_ref() }
                && watch.process == process
            {
                return watch;
            }
            let new = Box::into_raw(Box::new(Watch {
                process,
                inner: Mutex::new(Watched {
                    thread: None,
                    leases: Vec::new(),
                }),
            }));
            let stored = WATCH.compare_exchange(
                address,
                new.expose_provenance(),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            if stored.is_err() {
                // SAFETY: made above, and nobody else has heard of it.
                drop(unsafe { Box::from_raw(new) });
            }
        }
    }

    /// Puts `lease` on the list, and says which thread watches it.
    fn add(&'static self, lease: &Arc<Lease>) -> Result<libc::pid_t, Error> {
        let mut inner = lock(&self.inner);
        let thread = match inner.thread {
            Some(thread) => thread,
            None => self
                .start()
                .map_err(|_| Error::found(Operation::Lease, Kind::OutOfMemory))?,
        };
        inner.thread = Some(thread);
        inner.leases.push(Arc::clone(lease));
        Ok(thread)
    }

    fn remove(&self, lease: &Arc<Lease>) {
        lock(&self.inner)
            .leases
            .retain(|other| !Arc::ptr_eq(other, lease));
    }

    /// Starts the thread with every signal blocked that is not a fault of its own.
    fn start(&'static self) -> Result<libc::pid_t, std::io::Error> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let old = block_signals();
        let started = thread::Builder::new()
            .name("neap-lease".into())
            .stack_size(256 << 10)
            .spawn(move || {
                // SAFETY: no argument.
                let _ = sender.send(unsafe { libc::gettid() });
                self.run();
            });
        // SAFETY: `old` is a set that the same call filled in.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const old, null_mut()) };
        started?;
        receiver.recv().map_err(std::io::Error::other)
    }

    fn run(&self) {
        let (told, tick) = (told(), TICK);
        loop {
            // SAFETY: a live set and a live time; no information is asked for.
            unsafe { libc::sigtimedwait(&raw const told, null_mut(), &raw const tick) };
            let since = Instant::now();
            let leases = {
                let mut inner = lock(&self.inner);
                if inner.leases.is_empty() {
                    // Under the lock: whoever comes next starts another.
                    inner.thread = None;
                    return;
                }
                inner.leases.clone()
            };
            leases.iter().for_each(|lease| lease.look(since));
        }
    }
}

/// The signals that tell of a break: ours, and SIGIO, which the kernel sends when ours found no room.
fn told() -> libc::sigset_t {
    // SAFETY: an array of integers; sigemptyset fills it in, sigaddset changes it.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGRTMAX());
        libc::sigaddset(&raw mut set, libc::SIGIO);
        set
    }
}

/// Blocks all signals in this thread but those that its own faults raise, and returns the mask there was.
fn block_signals() -> libc::sigset_t {
    // SAFETY: arrays of integers that the calls fill in.
    unsafe {
        let (mut all, mut old) = (mem::zeroed(), mem::zeroed());
        libc::sigfillset(&raw mut all);
        for fault in [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGILL,
            libc::SIGFPE,
            libc::SIGTRAP,
        ] {
            libc::sigdelset(&raw mut all, fault);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut old);
        old
    }
}
