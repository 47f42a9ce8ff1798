//! Helpers that really run, threads that really end, forks that really happen.
#![allow(unsafe_code)]

use super::*;
use crate::child::{end_of_child, in_child};
use crate::linux::Linux;
use crate::unit::Bytes;
use crate::vm::Vm;
use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::{AtomicU64, AtomicUsize};

#[test]
fn ids_are_the_kernels() {
    assert_eq!(getpid(), std::process::id());
    assert_ne!(gettid(), 0);
    let main = gettid();
    std::thread::spawn(move || assert_ne!(gettid(), main))
        .join()
        .unwrap();
}

fn stack() -> Span {
    Linux.map(Bytes(64 << 10)).unwrap()
}

fn unmap(span: Span) {
    // SAFETY: (1, 2) tests unmap a stack they mapped, after the helper has been joined.
    unsafe { Linux.unmap(span) }.unwrap();
}

static TURN: AtomicU32 = AtomicU32::new(0);
static SEEN_TID: AtomicU32 = AtomicU32::new(0);
static SEEN_MASK: AtomicU64 = AtomicU64::new(0);
static SEEN_CANARY: AtomicUsize = AtomicUsize::new(1);
static SEEN_STACK: AtomicUsize = AtomicUsize::new(0);

fn hand_over(from: u32, to: u32) {
    while TURN.load(SeqCst) != from {
        let _ = futex::wait(&TURN, TURN.load(SeqCst) & !from, None);
    }
    TURN.store(to, SeqCst);
    futex::wake(&TURN, 1);
}

extern "C" fn handshake(arg: *mut u8) {
    let here = 0u8;
    SEEN_STACK.store((&raw const here).addr(), SeqCst);
    SEEN_TID.store(gettid(), SeqCst);
    let mut mask = 0u64;
    // SAFETY: (1) writes a live u64.
    let _ = unsafe { syscall4(Call::RT_SIGPROCMASK, 0, 0, (&raw mut mask).expose_provenance(), 8) };
    SEEN_MASK.store(mask, SeqCst);
    #[cfg(target_arch = "x86_64")]
    {
        let canary: usize;
        // SAFETY: reads the word that stack protectors read.
        unsafe { core::arch::asm!("mov {}, fs:[0x28]", out(reg) canary, options(nostack, readonly)) };
        SEEN_CANARY.store(canary, SeqCst);
    }
    #[cfg(target_arch = "aarch64")]
    SEEN_CANARY.store(0, SeqCst);
    hand_over(1, 2);
    hand_over(3, arg.addr() as u32);
}

#[test]
fn a_helper_starts_talks_and_ends_a_hundred_times() {
    static WORD: AtomicU32 = AtomicU32::new(0);
    let stack = stack();
    for round in 0..100 {
        TURN.store(1, SeqCst);
        let arg = core::ptr::without_provenance_mut(16 + round);
        // SAFETY: (1) the stack is ours and joined below before its next use; (2) `handshake` makes
        // raw calls only.
        let tid = unsafe { spawn_helper(stack, handshake, arg, &WORD) }.unwrap();
        while TURN.load(SeqCst) != 2 {
            let _ = futex::wait(&TURN, 1, None);
        }
        assert_eq!(WORD.load(SeqCst), tid);
        assert_eq!(SEEN_TID.load(SeqCst), tid);
        assert_ne!(tid, gettid());
        // SIGKILL and SIGSTOP cannot be blocked.
        assert_eq!(!SEEN_MASK.load(SeqCst), 1 << 8 | 1 << 18);
        assert_eq!(SEEN_CANARY.load(SeqCst), 0);
        assert!(stack.contains(SEEN_STACK.load(SeqCst)));
        TURN.store(3, SeqCst);
        futex::wake(&TURN, 1);
        join(&WORD);
        assert_eq!(WORD.load(SeqCst), 0);
        assert_eq!(TURN.load(SeqCst), 16 + round as u32);
    }
    unmap(stack);
    join(&WORD);
}

extern "C" fn nothing(_: *mut u8) {}

#[test]
fn the_spawners_mask_is_its_own_again() {
    static WORD: AtomicU32 = AtomicU32::new(0);
    let mask = || {
        let mut mask = 0u64;
        // SAFETY: (1) writes a live u64.
        unsafe { syscall4(Call::RT_SIGPROCMASK, 0, 0, (&raw mut mask).expose_provenance(), 8) }.unwrap();
        mask
    };
    let before = mask();
    let stack = stack();
    // SAFETY: (1) as above; (2) does nothing.
    unsafe { spawn_helper(stack, nothing, core::ptr::null_mut(), &WORD) }.unwrap();
    assert_eq!(mask(), before);
    join(&WORD);
    unmap(stack);
}

#[test]
fn a_short_stack_is_refused() {
    static WORD: AtomicU32 = AtomicU32::new(0);
    let short = Span::new(4096, HELPER_STACK_MIN - 1).unwrap();
    // SAFETY: (1, 2) refused before anything is used.
    let refused = unsafe { spawn_helper(short, nothing, core::ptr::null_mut(), &WORD) };
    assert_eq!(refused, Err(Errno::EINVAL));
}

#[test]
fn a_refused_clone_is_an_error_and_no_thread() {
    static WORD: AtomicU32 = AtomicU32::new(0);
    unsafe extern "C" {
        fn setresuid(real: c_uint, effective: c_uint, saved: c_uint) -> c_int;
    }
    in_child(|| {
        let stack = stack();
        let none = [0u64, 0];
        // SAFETY: (1) the child gives up its rights and its limit on threads (RLIMIT_NPROC 6), for
        // itself only.
        unsafe {
            syscall4(Call::PRLIMIT64, 0, 6, none.as_ptr().expose_provenance(), 0).unwrap();
            assert_eq!(setresuid(12_345, 12_345, 12_345), 0);
        }
        // SAFETY: (1) mapped above; (2) does nothing.
        let refused = unsafe { spawn_helper(stack, nothing, core::ptr::null_mut(), &WORD) };
        assert_eq!(refused, Err(Errno::EAGAIN));
        assert_eq!(WORD.load(SeqCst), 0);
    });
}

extern "C" fn sleep_forever(_: *mut u8) {
    static NEVER: AtomicU32 = AtomicU32::new(0);
    loop {
        let _ = futex::wait(&NEVER, 0, None);
    }
}

#[test]
fn exit_of_the_process_ends_a_helper() {
    static WORD: AtomicU32 = AtomicU32::new(0);
    let end = end_of_child(|| {
        // SAFETY: (1) nobody else has the stack; (2) raw calls only.
        unsafe { spawn_helper(stack(), sleep_forever, core::ptr::null_mut(), &WORD) }.unwrap();
    });
    assert_eq!(end, Ok(0));
    // The child had a copy of the word.
    assert_eq!(WORD.load(SeqCst), 0);
}

static ENDED: AtomicUsize = AtomicUsize::new(0);
static KEY: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" fn ended(value: *mut c_void) {
    ENDED.fetch_add(value.addr(), SeqCst);
    // Once more: the second round brings the next smaller value.
    if let Some(smaller) = NonNull::new(core::ptr::without_provenance_mut(value.addr() - 1)) {
        assert!(ExitKey(KEY.load(SeqCst)).arm(smaller));
    }
}

#[test]
fn an_armed_key_is_heard_of_when_its_thread_ends() {
    // SAFETY: (1) `ended` uses the value as a number.
    let key = unsafe { ExitKey::create(ended) }.unwrap();
    KEY.store(key.0, SeqCst);
    assert!(key.arms_without_malloc());
    std::thread::spawn(|| ()).join().unwrap();
    assert_eq!(ENDED.load(SeqCst), 0);
    let value = |n| NonNull::new(core::ptr::without_provenance_mut(n)).unwrap();
    std::thread::spawn(move || assert!(key.arm(value(3))))
        .join()
        .unwrap();
    assert_eq!(ENDED.load(SeqCst), 3 + 2 + 1);
    std::thread::spawn(move || {
        assert!(key.arm(value(2)));
        key.disarm();
    })
    .join()
    .unwrap();
    assert_eq!(ENDED.load(SeqCst), 6);
}

static FORKS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

unsafe extern "C" fn prepared() {
    FORKS[0].fetch_add(1, SeqCst);
}
unsafe extern "C" fn in_parent() {
    FORKS[1].fetch_add(1, SeqCst);
}
unsafe extern "C" fn in_forked_child() {
    FORKS[2].fetch_add(1, SeqCst);
}

#[test]
fn fork_handlers_run_on_either_side() {
    in_child(|| {
        // SAFETY: (1) they only count; (2) the test's own code.
        assert!(unsafe { at_fork(prepared, in_parent, in_forked_child) });
        let counts = || [0, 1, 2].map(|i| FORKS[i].load(SeqCst));
        in_child(|| assert_eq!(counts(), [1, 0, 1]));
        assert_eq!(counts(), [1, 1, 0]);
    });
}
