//! Threads: ids, a helper thread that the C library does not know, and hooks for thread exit and fork.
//!
//! Owns the clone that starts a [`spawn_helper`] thread and the bindings by which the allocator hears
//! of the program's own threads. Holds no state.
//!
//! # What a helper is not
//! It has every signal blocked, a thread pointer of its own that points at zeros, and no place in the
//! C library's lists. So it must not call the C library, touch a thread-local variable, panic or
//! unwind. It does not survive fork (the child's copy of its word still holds the old id: reset it),
//! it ends with exec and exit, `setuid` and its kin do not reach it (it keeps the old credentials),
//! and while it lives `unshare(CLONE_NEWUSER)` is `EINVAL`.
#![allow(unsafe_code)]

use crate::errno::Errno;
use crate::futex;
use crate::syscall::{Call, syscall0, syscall4};
use crate::unit::Span;
use core::ffi::{c_int, c_uint, c_void};
use core::ptr::{NonNull, null, with_exposed_provenance_mut};
use core::sync::atomic::{AtomicU32, Ordering};

/// The calling thread's id, by a system call. Safe in a signal handler and in a helper.
#[must_use]
pub fn gettid() -> u32 {
    // SAFETY: (1) gettid takes nothing and changes nothing.
    let tid = unsafe { syscall0(Call::GETTID) };
    // It cannot fail, and ids stay below 2^22.
    u32::try_from(tid.unwrap_or(0)).unwrap_or(0)
}

/// The process id, by a system call, so that it is right in the child of a raw fork too.
#[must_use]
pub fn getpid() -> u32 {
    // SAFETY: (1) getpid takes nothing and changes nothing.
    let pid = unsafe { syscall0(Call::GETPID) };
    u32::try_from(pid.unwrap_or(0)).unwrap_or(0)
}

/// The least stack a helper is started with, in bytes; the thread block is taken out of it.
pub const HELPER_STACK_MIN: usize = 8192;

/// The bytes at the top of the stack that the helper's thread pointer points at. x86_64 code compiled
/// with a stack protector reads the word at 0x28.
const THREAD_BLOCK: usize = 256;

/// The flags glibc gives to pthread_create's clone, and for the same reasons: CLONE_VM, FS, FILES,
/// SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID. Sandboxes that inspect clone's
/// flags allow exactly these.
const CLONE_FLAGS: usize = 0x003d_0f00;

const SIG_SETMASK: usize = 2;
/// The kernel's signal set in bytes.
const SIGNAL_SET: usize = 8;

/// clone, with a child that never comes back here: it pops an entry point and its argument off its own
/// stack, calls the one with the other, and exits the thread (not the process).
///
/// # Safety
/// 1. `flags` are [`CLONE_FLAGS`].
/// 2. `stack` is 16-aligned, the top of memory that the child alone uses until it is gone, and points
///    at two words: an `extern "C" fn(*mut u8)` and its argument.
/// 3. `parent_tid` and `child_tid` point at words that outlive the child.
/// 4. `thread_block` is the address of a block that may serve as the child's thread pointer.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn raw_clone(
    flags: usize,
    stack: usize,
    parent_tid: usize,
    child_tid: usize,
    thread_block: usize,
) -> isize {
    // The kernel's order is the same as this function's; its fourth register is not.
    core::arch::naked_asm!(
        "mov r10, rcx",
        "mov eax, {clone}",
        "syscall",
        "test rax, rax",
        "jz 2f",
        "ret",
        "2:",
        "xor ebp, ebp",
        "pop rax",
        "pop rdi",
        "call rax",
        "xor edi, edi",
        "mov eax, {exit}",
        "syscall",
        "ud2",
        clone = const Call::CLONE.0,
        exit = const Call::EXIT.0,
    )
}

/// As on x86_64.
///
/// # Safety
/// As on x86_64.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn raw_clone(
    flags: usize,
    stack: usize,
    parent_tid: usize,
    child_tid: usize,
    thread_block: usize,
) -> isize {
    // The kernel takes the thread pointer fourth and the child's word fifth here.
    core::arch::naked_asm!(
        "mov x5, x3",
        "mov x3, x4",
        "mov x4, x5",
        "mov x8, #{clone}",
        "svc #0",
        "cbz x0, 2f",
        "ret",
        "2:",
        "mov x29, xzr",
        "mov x30, xzr",
        "ldp x1, x0, [sp], #16",
        "blr x1",
        "mov x0, xzr",
        "mov x8, #{exit}",
        "svc #0",
        "brk #1",
        clone = const Call::CLONE.0,
        exit = const Call::EXIT.0,
    )
}

/// Starts a thread that runs `entry(arg)` on `stack` and then exits (that thread alone), with every
/// signal blocked. Says its id. See the module's documentation for what it must not do.
///
/// `tid_word` holds its id from before it runs until after its last instruction; then the kernel sets
/// the word to 0 and wakes one waiter: see [`join`].
///
/// # Errors
/// - `EINVAL`: `stack` is shorter than [`HELPER_STACK_MIN`].
/// - `EAGAIN`: RLIMIT_NPROC, the pids cgroup or the system's thread limit. `ENOMEM`.
/// - `EPERM`, `ENOSYS`: a sandbox. No thread was started on any error.
///
/// # Safety
/// 1. `stack` is mapped readable and writable and nobody else uses it until [`join`] has returned.
/// 2. `entry` may be called with `arg` on another thread, keeps to the module's rules, and does not
///    use more stack than there is (less 512 bytes).
pub unsafe fn spawn_helper(
    stack: Span,
    entry: extern "C" fn(*mut u8),
    arg: *mut u8,
    tid_word: &'static AtomicU32,
) -> Result<u32, Errno> {
    if stack.len() < HELPER_STACK_MIN {
        return Err(Errno::EINVAL);
    }
    let thread_block = (stack.end() & !63) - THREAD_BLOCK;
    let top = thread_block - 16;
    // SAFETY: the block and the two words below it lie in the stack's last HELPER_STACK_MIN bytes,
    // aligned, mapped, and ours until the child starts (1).
    unsafe {
        let block = with_exposed_provenance_mut::<usize>(thread_block);
        block.write_bytes(0, THREAD_BLOCK / size_of::<usize>());
        if cfg!(target_arch = "x86_64") {
            // The ABI's self pointer at fs:0, and glibc's at fs:0x10.
            block.write(thread_block);
            block.add(2).write(thread_block);
        }
        with_exposed_provenance_mut::<extern "C" fn(*mut u8)>(top).write(entry);
        with_exposed_provenance_mut::<*mut u8>(top + 8).write(arg);
    }
    let every_signal = u64::MAX;
    let mut before = 0u64;
    let word = tid_word.as_ptr().expose_provenance();
    // SAFETY: (1) rt_sigprocmask reads and writes live u64s and changes this thread's mask only.
    unsafe {
        let (set, old) = (
            (&raw const every_signal).expose_provenance(),
            (&raw mut before).expose_provenance(),
        );
        syscall4(Call::RT_SIGPROCMASK, SIG_SETMASK, set, old, SIGNAL_SET)?;
    }
    // SAFETY: (1) they are. (2) `top` is 64-aligned less 16 and holds the words just written; the
    // stack is the child's (the caller's 1). (3) `tid_word` is 'static. (4) written above.
    let raw = unsafe { raw_clone(CLONE_FLAGS, top, word, word, thread_block) };
    // SAFETY: (1) restores the mask saved above.
    unsafe {
        let old = (&raw const before).expose_provenance();
        let _ = syscall4(Call::RT_SIGPROCMASK, SIG_SETMASK, old, 0, SIGNAL_SET);
    }
    match u32::try_from(raw) {
        Ok(tid) => Ok(tid),
        Err(_) => Err(Errno(
            i32::try_from(raw.unsigned_abs()).unwrap_or(Errno::EINVAL.0),
        )),
    }
}

/// Waits until the helper with this word has executed its last instruction; its stack may then be
/// unmapped. Returns at once if it has ended or never started. For one waiter: the kernel wakes one.
pub fn join(tid_word: &AtomicU32) {
    loop {
        let tid = tid_word.load(Ordering::Acquire);
        if tid == 0 {
            return;
        }
        // Not private: the kernel's wake at a thread's end is a shared one.
        let _ = futex::wait_shared(tid_word, tid, None);
    }
}

#[link(name = "c")]
unsafe extern "C" {
    fn pthread_key_create(key: *mut c_uint, destructor: Option<unsafe extern "C" fn(*mut c_void)>) -> c_int;
    fn pthread_setspecific(key: c_uint, value: *const c_void) -> c_int;
    // In glibc's static part (libc_nonshared.a), so that a shared object's handlers carry its handle;
    // what is imported is __register_atfork.
    fn pthread_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
    ) -> c_int;
}

/// A hook that runs when a thread of the C library ends: a pthread key with a destructor.
///
/// The C library calls destructors in up to four rounds (PTHREAD_DESTRUCTOR_ITERATIONS), as long as
/// some key is armed, in no set order: one that finds that others may still run arms itself again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExitKey(c_uint);

impl ExitKey {
    /// Keys below this have their values inside glibc's thread descriptor; for the others the first
    /// value a thread sets makes glibc call `calloc`.
    const INLINE_KEYS: c_uint = 32;

    /// Makes a key. `None` if the process has used all 1024. Allocates nothing (glibc).
    ///
    /// # Safety
    /// 1. `destructor` may be called, in a thread that ends, with any value later given to
    ///    [`ExitKey::arm`] in that thread.
    #[must_use]
    pub unsafe fn create(destructor: unsafe extern "C" fn(*mut c_void)) -> Option<ExitKey> {
        let mut key = 0;
        // SAFETY: `key` is a live word; the destructor is the caller's (1).
        let error = unsafe { pthread_key_create(&raw mut key, Some(destructor)) };
        (error == 0).then_some(ExitKey(key))
    }

    /// Whether [`ExitKey::arm`] never calls malloc in glibc. True when the key was made early, before
    /// the program made 32 of its own.
    #[must_use]
    pub const fn arms_without_malloc(self) -> bool {
        self.0 < ExitKey::INLINE_KEYS
    }

    /// Has the destructor called with `value` when this thread ends. False if the C library is out of
    /// memory. May call `calloc`: see [`ExitKey::arms_without_malloc`].
    #[must_use]
    pub fn arm(&self, value: NonNull<c_void>) -> bool {
        // SAFETY: the key was made by `create` and is never deleted; a value is only stored.
        unsafe { pthread_setspecific(self.0, value.as_ptr()) == 0 }
    }

    /// Takes the value back: no destructor runs for this thread.
    pub fn disarm(&self) {
        // SAFETY: as in `arm`. Storing null cannot fail.
        unsafe { pthread_setspecific(self.0, null()) };
    }
}

/// Has `prepare` called before each fork, `parent` and `child` after it on either side. False if the C
/// library is out of memory. Later registrations prepare earlier and resume later, so the allocator's,
/// made first, surround only the fork itself. vfork, posix_spawn and raw clones call none. glibc keeps
/// 48 registrations without calling malloc.
///
/// # Safety
/// 1. The handlers may be called on any thread at any time, and `child` in a process of one thread.
/// 2. The code stays loaded: the handlers of an unloaded shared object go with it (glibc).
#[must_use]
pub unsafe fn at_fork(
    prepare: unsafe extern "C" fn(),
    parent: unsafe extern "C" fn(),
    child: unsafe extern "C" fn(),
) -> bool {
    // SAFETY: the handlers are the caller's (1, 2).
    unsafe { pthread_atfork(Some(prepare), Some(parent), Some(child)) == 0 }
}

#[cfg(test)]
mod tests;
