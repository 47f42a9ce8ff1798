//! [`RobustList`]: the calling thread's list of the futexes that it holds, which the kernel walks when
//! the thread ends, and [`RobustFutex`], an entry of it: get_robust_list(2).
//!
//! When a thread ends in whatever way (exit, exec, any signal) the kernel looks at each entry of its
//! list, and at the one it is just taking or letting go ([`RobustList::announce`]). Where the word
//! holds the thread's id it puts [`OWNER_DIED`] in its place, keeps [`WAITERS`], and if that is set
//! wakes one thread that waits on the word (shared between processes, never private). If an
//! announced word holds no id at all it wakes one waiter, for that wake may have died with its maker.
//!
//! The list belongs to the C library, which made it known to the kernel and uses it for its own robust
//! mutexes. This module never sets another: it adds to that one and takes away from it, in the
//! layout of glibc (64-bit): the word 32 bytes before the link, a link back 8 bytes before it. With any
//! other layout (musl: 28) there is no [`RobustList`].
//!
//! Not in a signal handler: one entry can be announced at a time. In the child of glibc's `fork` the
//! list is empty; in that of a raw clone there is none. The kernel gives up after 2048 entries.
#![allow(unsafe_code)]

use crate::errno::Errno;
use crate::syscall::{Call, syscall3};
use crate::thread::getpid;
use core::fmt;
use core::mem::offset_of;
use core::ptr::{NonNull, from_ref, with_exposed_provenance};
use core::sync::atomic::{
    AtomicIsize, AtomicU32, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
    compiler_fence,
};

/// The bits of a word that hold the owner's thread id (FUTEX_TID_MASK).
pub const TID: u32 = 0x3fff_ffff;
/// The kernel's mark that the owner ended without letting go (FUTEX_OWNER_DIED).
pub const OWNER_DIED: u32 = 0x4000_0000;
/// Somebody may be waiting on the word (FUTEX_WAITERS).
pub const WAITERS: u32 = 0x8000_0000;

/// A futex word, the links by which it hangs in its owner's list, and 20 bytes for the use of whoever
/// builds on it. Lives in memory shared between processes; any bytes are a valid one, zeros are free.
///
/// The links are addresses in the owner's process. They mean nothing while nobody owns the word.
#[repr(C)]
#[derive(Debug, Default)]
pub struct RobustFutex {
    /// The owner's thread id in [`TID`], [`WAITERS`] and [`OWNER_DIED`].
    pub word: AtomicU32,
    /// Not looked at here.
    pub user: [AtomicU32; 5],
    prev: AtomicUsize,
    next: AtomicUsize,
}

/// Where the kernel finds the word, seen from the link.
const OFFSET: isize = -32;

const _: () = {
    assert!(size_of::<RobustFutex>() == 40 && align_of::<RobustFutex>() == 8);
    assert!(offset_of!(RobustFutex, word) == 0);
    assert!(offset_of!(RobustFutex, prev) == 24 && offset_of!(RobustFutex, next) == 32);
};

impl RobustFutex {
    /// One that nobody owns, with `user` in its spare bytes.
    #[must_use]
    pub const fn new(user: [u32; 5]) -> RobustFutex {
        let [a, b, c, d, e] = user;
        RobustFutex {
            word: AtomicU32::new(0),
            user: [
                AtomicU32::new(a),
                AtomicU32::new(b),
                AtomicU32::new(c),
                AtomicU32::new(d),
                AtomicU32::new(e),
            ],
            prev: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
        }
    }

    fn link(&self) -> usize {
        // The address of the whole, so that its provenance covers the word and the link back.
        from_ref(self).expose_provenance() + offset_of!(RobustFutex, next)
    }

    /// Whether a living thread of the calling process owns it, by tgkill(2).
    #[must_use]
    pub fn is_owned_by_this_process(&self) -> bool {
        let owner = self.word.load(SeqCst) & TID;
        // SAFETY: (1) signal 0 is never delivered; the call only looks for the thread.
        let found = unsafe { syscall3(Call::TGKILL, getpid() as usize, owner as usize, 0) };
        // A sandbox that forbids the call has not said that there is no such thread.
        owner != 0 && found != Err(Errno::ESRCH)
    }
}

/// The kernel's `struct robust_list_head`.
#[repr(C)]
struct Head {
    first: AtomicUsize,
    futex_offset: AtomicIsize,
    pending: AtomicUsize,
}

/// Why this thread has no list that entries could be added to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoList {
    /// get_robust_list(2) failed: a sandbox, or a kernel without futexes.
    Refused(Errno),
    /// The C library has set none: musl before its first robust mutex, the child of a raw clone.
    Absent,
    /// The C library's layout is not that of [`RobustFutex`]: the word lies this many bytes from the link
    /// (`i32::MAX`: out of range).
    Layout(i32),
}

impl fmt::Display for NoList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoList::Refused(errno) => write!(f, "get_robust_list(2) failed: {errno}"),
            NoList::Absent => f.write_str("the C library has set no robust list for this thread"),
            NoList::Layout(offset) => write!(
                f,
                "the C library has its robust futexes {offset} bytes from their links, glibc {OFFSET}"
            ),
        }
    }
}

impl core::error::Error for NoList {}

/// The calling thread's list. Not `Send`: it is that thread's alone.
#[derive(Clone, Copy, Debug)]
pub struct RobustList {
    head: NonNull<Head>,
}

impl RobustList {
    /// Asks the kernel for the list that the C library has set for this thread. A system call: keep the
    /// answer, and ask again after a fork.
    ///
    /// # Errors
    /// See [`NoList`].
    pub fn of_this_thread() -> Result<RobustList, NoList> {
        let mut head = 0usize;
        let mut len = 0usize;
        let (head_at, len_at) = (
            (&raw mut head).expose_provenance(),
            (&raw mut len).expose_provenance(),
        );
        // SAFETY: (1) for pid 0 the call writes this thread's own head and its length to two live words.
        unsafe { syscall3(Call::GET_ROBUST_LIST, 0, head_at, len_at) }.map_err(NoList::Refused)?;
        let head = NonNull::new(with_exposed_provenance::<Head>(head).cast_mut()).ok_or(NoList::Absent)?;
        let list = RobustList { head };
        match list.head().futex_offset.load(Relaxed) {
            OFFSET => Ok(list),
            other => Err(NoList::Layout(i32::try_from(other).unwrap_or(i32::MAX))),
        }
    }

    #[inline]
    fn head(&self) -> &Head {
        // SAFETY: the C library's thread descriptor holds the head for as long as the thread runs, and
        // `self` never leaves the thread: it is neither Send nor Sync. Nobody else writes to it but the
        // kernel, when the thread is over, and the C library, on this thread.
        unsafe { self.head.as_ref() }
    }

    /// Tells the kernel that this thread is about to take or to let go of `futex`. One at a time.
    ///
    /// # Safety
    /// 1. `self` is the calling thread's, in the process that asked for it.
    /// 2. `futex` stays mapped until [`RobustList::withdraw`].
    #[inline]
    pub unsafe fn announce(self, futex: &RobustFutex) {
        self.head().pending.store(futex.link(), Relaxed);
        // The kernel looks at a thread where it stands: only the compiler could reorder this.
        compiler_fence(SeqCst);
    }

    /// Ends what [`RobustList::announce`] began.
    ///
    /// # Safety
    /// 1. As for [`RobustList::announce`].
    #[inline]
    pub unsafe fn withdraw(self) {
        compiler_fence(SeqCst);
        self.head().pending.store(0, Relaxed);
    }

    /// Adds `futex` to the list, after its word was set to this thread's id.
    ///
    /// # Safety
    /// 1. `self` is the calling thread's, in the process that asked for it.
    /// 2. `futex` is announced, this thread owns its word, and it is in no list.
    /// 3. It stays mapped until [`RobustList::remove`], or else until this thread has ended.
    #[inline]
    pub unsafe fn insert(self, futex: &RobustFutex) {
        let head = self.head();
        let first = head.first.load(Relaxed);
        futex.next.store(first, Relaxed);
        futex.prev.store(self.head.as_ptr().addr(), Relaxed);
        compiler_fence(SeqCst);
        // SAFETY: (1) `first` is an entry of this thread's list or the head (the caller's 1 and 3, for
        // each entry that was added before; glibc's own entries keep the same rule).
        unsafe { self.set_prev(first, futex.link()) };
        head.first.store(futex.link(), Relaxed);
        compiler_fence(SeqCst);
    }

    /// Takes `futex` out of the list, before its word is let go.
    ///
    /// # Safety
    /// 1. `self` is the calling thread's, in the process that asked for it.
    /// 2. `futex` is announced and in this list, added at this address.
    #[inline]
    pub unsafe fn remove(self, futex: &RobustFutex) {
        let (prev, next) = (futex.prev.load(Relaxed), futex.next.load(Relaxed));
        // SAFETY: (1) the neighbours of an entry are entries of this list or the head (2), kept in
        // step by `insert`, here and by glibc.
        unsafe {
            self.set_prev(next, prev);
            compiler_fence(SeqCst);
            self.set_next(prev, next);
        }
        compiler_fence(SeqCst);
    }

    /// Sets the link back of the entry with the link `of`. The head has none that anybody reads.
    ///
    /// # Safety
    /// 1. `of` is the address of a link in this list, perhaps with the mark of a priority-inheriting
    ///    futex in its lowest bit, or the head.
    #[inline]
    unsafe fn set_prev(self, of: usize, to: usize) {
        let of = of & !1;
        if of != self.head.as_ptr().addr() {
            // SAFETY: an entry's link back lies a word before its link (1), mapped like it; its
            // provenance was exposed when the entry was added or is the C library's.
            unsafe { (*with_exposed_provenance::<AtomicUsize>(of - size_of::<usize>())).store(to, Relaxed) };
        }
    }

    /// Sets the link of the entry, or the head, at `of`.
    ///
    /// # Safety
    /// 1. As for [`RobustList::set_prev`].
    #[inline]
    unsafe fn set_next(self, of: usize, to: usize) {
        let of = of & !1;
        if of == self.head.as_ptr().addr() {
            self.head().first.store(to, Relaxed);
        } else {
            // SAFETY: `of` is the address of an entry's link (1).
            unsafe { (*with_exposed_provenance::<AtomicUsize>(of)).store(to, Relaxed) };
        }
    }
}

#[cfg(test)]
mod tests;
