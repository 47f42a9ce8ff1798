//! Threads that end with entries in their lists, alone and mixed with the C library's robust mutexes.
#![allow(unsafe_code)]

use super::*;
use crate::futex::{Deadline, wait_shared_until};
use crate::thread::gettid;
use core::ffi::c_int;
use core::time::Duration;
use std::boxed::Box;
use std::vec::Vec;

/// glibc's pthread_mutex_t.
#[repr(C, align(8))]
struct CMutex([u8; 40]);

unsafe extern "C" {
    fn pthread_mutexattr_init(attr: *mut c_int) -> c_int;
    fn pthread_mutexattr_setrobust(attr: *mut c_int, robust: c_int) -> c_int;
    fn pthread_mutexattr_setprotocol(attr: *mut c_int, protocol: c_int) -> c_int;
    fn pthread_mutex_init(mutex: *mut CMutex, attr: *const c_int) -> c_int;
    fn pthread_mutex_lock(mutex: *mut CMutex) -> c_int;
    fn pthread_mutex_unlock(mutex: *mut CMutex) -> c_int;
}

const EOWNERDEAD: c_int = 130;

fn c_mutex(inherit: c_int) -> *mut CMutex {
    let mutex = Box::leak(Box::new(CMutex([0; 40])));
    let mut attr = 0;
    // SAFETY: a mutexattr is one int, a mutex 40 bytes in glibc; both live.
    unsafe {
        assert_eq!(pthread_mutexattr_init(&raw mut attr), 0);
        assert_eq!(pthread_mutexattr_setrobust(&raw mut attr, 1), 0);
        assert_eq!(pthread_mutexattr_setprotocol(&raw mut attr, inherit), 0);
        assert_eq!(pthread_mutex_init(mutex, &raw const attr), 0);
    }
    mutex
}

/// An entry that is never freed, so that it may stay in the list of a thread for ever.
fn entry() -> &'static RobustFutex {
    Box::leak(Box::default())
}

fn take(list: RobustList, futex: &'static RobustFutex) {
    // SAFETY: (announce 1) asked for on this thread; (2, insert 3) never freed; (insert 2) announced,
    // and just taken.
    unsafe {
        list.announce(futex);
        assert_eq!(futex.word.swap(gettid(), SeqCst) & TID, 0);
        list.insert(futex);
        list.withdraw();
    }
}

fn let_go(list: RobustList, futex: &'static RobustFutex) {
    // SAFETY: (announce 1) asked for on this thread; (2) never freed; (remove 2) `take` added it.
    unsafe {
        list.announce(futex);
        list.remove(futex);
        futex.word.store(0, SeqCst);
        list.withdraw();
    }
}

fn list() -> RobustList {
    RobustList::of_this_thread().expect("glibc sets a list for every thread")
}

#[test]
fn a_threads_end_marks_what_it_holds_and_wakes_a_waiter() {
    let (held, let_go_of) = (entry(), entry());
    std::thread::spawn(move || {
        let list = list();
        take(list, held);
        take(list, let_go_of);
        let_go(list, let_go_of);
        assert!(held.is_owned_by_this_process());
        held.word.fetch_or(WAITERS, SeqCst);
    });
    let limit = Some(Deadline::after(Duration::from_secs(60)));
    loop {
        let seen = held.word.load(SeqCst);
        if seen == WAITERS | OWNER_DIED {
            break;
        }
        let outcome = wait_shared_until(&held.word, seen, limit);
        assert_ne!(outcome, Err(Errno::ETIMEDOUT));
    }
    assert_eq!(let_go_of.word.load(SeqCst), 0);
    assert!(!held.is_owned_by_this_process());
}

#[test]
fn an_announced_word_counts_as_held_and_a_free_one_wakes_a_waiter() {
    let (taken, free) = (entry(), entry());
    std::thread::spawn(move || {
        // SAFETY: (1) asked for on this thread; (2) never freed.
        unsafe { list().announce(taken) };
        taken.word.store(gettid(), SeqCst);
    })
    .join()
    .unwrap();
    assert_eq!(taken.word.load(SeqCst), OWNER_DIED);
    free.word.store(WAITERS, SeqCst);
    let limit = Some(Deadline::after(Duration::from_secs(60)));
    let waiter = std::thread::spawn(move || wait_shared_until(&free.word, WAITERS, limit));
    // The waiter may come after a first thread's end, so threads end until it has been woken.
    while !waiter.is_finished() {
        std::thread::spawn(move || {
            // SAFETY: (1) asked for on this thread; (2) never freed.
            unsafe { list().announce(free) };
        })
        .join()
        .unwrap();
    }
    assert_eq!(waiter.join().unwrap(), Ok(()));
}

/// Locks `order` of five entries, of which 1 and 3 are the C library's, then lets go of those in
/// `leave`, and ends. Every order of neighbours is met: both sides keep the other's links.
fn mixed(inherit: c_int, order: [usize; 5], leave: &[usize]) {
    let ours = [entry(), entry(), entry(), entry(), entry()];
    let theirs = [1, 3].map(|_| c_mutex(inherit).expose_provenance());
    let c = move |i: usize| core::ptr::with_exposed_provenance_mut::<CMutex>(theirs[i / 2]);
    let leave_here = Vec::from(leave);
    std::thread::spawn(move || {
        let list = list();
        for i in order {
            if i % 2 == 1 {
                // SAFETY: an initialised mutex that is never freed.
                assert_eq!(unsafe { pthread_mutex_lock(c(i)) }, 0);
            } else {
                take(list, ours[i]);
            }
        }
        for i in leave_here {
            if i % 2 == 1 {
                // SAFETY: as above, locked by this thread.
                assert_eq!(unsafe { pthread_mutex_unlock(c(i)) }, 0);
            } else {
                let_go(list, ours[i]);
            }
        }
    })
    .join()
    .unwrap();
    for i in order {
        let left = leave.contains(&i);
        if i % 2 == 1 {
            let want = if left { 0 } else { EOWNERDEAD };
            // SAFETY: as above. It stays locked, and is never freed.
            let got = unsafe { pthread_mutex_lock(c(i)) };
            assert_eq!(got, want, "{order:?} {leave:?} {i}");
        } else {
            let want = if left { 0 } else { OWNER_DIED };
            assert_eq!(ours[i].word.load(SeqCst), want, "{order:?} {leave:?} {i}");
        }
    }
}

#[test]
fn entries_and_the_c_librarys_robust_mutexes_share_the_list() {
    // The second round is of priority-inheriting mutexes, which mark their links.
    for inherit in [0, 1] {
        for order in [[0, 1, 2, 3, 4], [1, 3, 0, 2, 4], [0, 2, 4, 1, 3], [3, 2, 1, 0, 4]] {
            for leave in 0u32..32 {
                let up: Vec<usize> = (0..5).filter(|i| leave >> i & 1 == 1).collect();
                let down: Vec<usize> = up.iter().rev().copied().collect();
                mixed(inherit, order, &up);
                mixed(inherit, order, &down);
            }
        }
    }
}

#[test]
fn another_layout_is_told() {
    assert_eq!(
        std::format!("{}", NoList::Layout(-28)),
        "the C library has its robust futexes -28 bytes from their links, glibc -32"
    );
}
