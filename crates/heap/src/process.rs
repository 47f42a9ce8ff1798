//! The heap of the process.
//!
//! Owns the one `Heap` over the running kernel, the thread-local blocks, and what a process needs
//! beyond a heap: opening at the first call, the end of threads, fork, the board, the end. The
//! thread-local block is a symbol of our own in `.tbss`, read with the initial-exec model: two
//! instructions, no call, all zeros when a thread begins.

#![allow(unsafe_code)]

use crate::heap::Heap;
use crate::local::Local;
use crate::sync::{AcqRel, Acquire, AtomicBool, AtomicU32, AtomicUsize, Relaxed, Release};
use core::arch::{asm, global_asm};
use core::ffi::{CStr, c_void};
use core::ptr::NonNull;
use neap_abi::anatomy::{DESCRIPTOR_BYTES, NOTE_TYPE, VERSION as NOTE_VERSION};
use neap_abi::{Backend, Directory, ENV_BOARD, PAGE_BYTES};
use neap_os::linux::Linux;
use neap_os::thread::ExitKey;
use neap_os::unit::Bytes;
use neap_os::vm::Vm;
use neap_os::{clock, env, share, thread};

/// The heap of this process, by name for assembly; [`heap`] for everybody else.
pub static HEAP: Heap<Linux> = Heap::new(Linux);

// The version is part of the name: two versions of this crate in one program must not share it. The note and what it
// leads to are for readers outside (`neap_abi::anatomy`); it stands here because the linker takes in the object
// that has the thread-local block, whatever else it leaves out. The addresses are apart from the note,
// which nobody writes to.
global_asm!(
    ".pushsection .data.rel.ro.neap,\"aw\",@progbits",
    ".p2align 3",
    ".Lneap_anchor_0_1:",
    ".quad {heap}",
    ".quad {places}",
    ".quad __neap_give_back_0_1",
    ".quad __neap_give_back_end_0_1",
    ".popsection",
    ".pushsection .note.neap,\"a\",@note",
    ".p2align 2",
    ".long 5",
    ".long {descriptor}",
    ".long {kind}",
    ".asciz \"neap\"",
    ".p2align 2",
    ".long {version}",
    ".Lneap_way_0_1:",
    ".long .Lneap_anchor_0_1 - .Lneap_way_0_1",
    ".popsection",
    heap = sym HEAP,
    places = sym crate::anatomy::PLACES,
    descriptor = const DESCRIPTOR_BYTES,
    kind = const NOTE_TYPE,
    version = const NOTE_VERSION,
);

global_asm!(
    ".pushsection .tbss,\"awT\",@nobits",
    ".p2align 6",
    ".hidden __neap_local_0_1",
    ".globl __neap_local_0_1",
    ".type __neap_local_0_1,@object",
    ".size __neap_local_0_1,{size}",
    "__neap_local_0_1:",
    ".zero {size}",
    ".popsection",
    size = const size_of::<Local>(),
);

/// The heap of this process.
#[inline(always)]
#[must_use]
pub fn heap() -> &'static Heap<Linux> {
    &HEAP
}

/// The calling thread's block. It must not be sent to another thread; `Local` is not `Sync`.
#[inline(always)]
#[must_use]
pub fn local() -> &'static Local {
    let address: *const Local;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads the thread pointer and a link-time offset; no memory is written.
    unsafe {
        asm!(
            "mov {0}, qword ptr fs:[0]",
            "add {0}, qword ptr [rip + __neap_local_0_1@GOTTPOFF]",
            out(reg) address,
            options(pure, readonly, nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads the thread pointer and a link-time offset; no memory is written.
    unsafe {
        asm!(
            "mrs {1}, tpidr_el0",
            "adrp {0}, :gottprel:__neap_local_0_1",
            "ldr {0}, [{0}, :gottprel_lo12:__neap_local_0_1]",
            "add {0}, {0}, {1}",
            out(reg) address,
            out(reg) _,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    // SAFETY: the symbol is `size_of::<Local>()` bytes aligned to 64 in this thread's storage, and
    // all zeros is a valid `Local`. It lives as long as the thread, and so does every use of a
    // reference that cannot leave the thread.
    unsafe { &*address }
}

/// First attempts at a place for the tables: random addresses in a part of the address space where
/// the kernel places nothing by itself; then low ones for small address spaces and emulators.
const HINTS: usize = 6;

fn hints() -> [usize; HINTS] {
    const UNIT: usize = 256 << 30;
    let seed = env::random_seed();
    core::array::from_fn(|n| {
        if n < HINTS - 2 {
            // 8 TiB to 38 TiB: above what sanitizers take, below where programs are loaded.
            let slot = (seed >> (n * 8) & 0xff) as usize % 120;
            (32 + slot) * UNIT
        } else {
            (64 << 30) << (n + 2 - HINTS)
        }
    })
}

const CLOSED: u32 = 0;
const OPENING: u32 = 1;
const OPEN: u32 = 2;
/// All is set up but the window: there was no memory for it. The next slow path tries again.
const WITHOUT_WINDOW: u32 = 3;
static STATE: AtomicU32 = AtomicU32::new(CLOSED);
/// Whether the environment asks for the program break.
static ON_BREAK: AtomicBool = AtomicBool::new(false);
/// Number of the key whose destructor ends threads, + 1.
static KEY: KeyCell = KeyCell::new();
/// Whether somebody ends the helper before credentials change, so that root may have one too.
static GUARDED: AtomicBool = AtomicBool::new(false);

/// Opens the heap if that has not been done. Every slow path begins with it.
#[inline]
pub(crate) fn ready(local: &Local) {
    if STATE.load(Acquire) != OPEN {
        open(local);
    }
}

#[cold]
#[inline(never)]
fn open(local: &Local) {
    if local.is_busy() {
        // Inside the opening itself: this call is served as one from a signal handler.
        return;
    }
    match STATE.compare_exchange(CLOSED, OPENING, AcqRel, Acquire) {
        Ok(_) => {}
        Err(WITHOUT_WINDOW) => {
            let _busy = local.enter();
            STATE.store(open_window(local), Release);
            return;
        }
        Err(_) => {
            while STATE.load(Acquire) == OPENING {
                core::hint::spin_loop();
            }
            return;
        }
    }
    let _busy = local.enter();
    let start = HEAP.options.read_environment(&HEAP.ground.top_pad);
    HEAP.options.check.store(start.check, Relaxed);
    ON_BREAK.store(start.backend == Backend::Brk, Relaxed);
    let opened = open_window(local);
    join_board();
    // SAFETY: `end_thread` may run in any ending thread with the values `watch` arms.
    KEY.set(unsafe { ExitKey::create(end_thread) });
    HEAP.watch_threads(watch);
    HEAP.start_helper_by(wake_helper);
    // SAFETY: the handlers only take and give back the heap's locks; this code stays loaded
    // (libneap.so is linked with nodelete, an executable is never unloaded).
    let _ = unsafe { thread::at_fork(before_fork, in_parent, in_child) };
    STATE.store(opened, Release);
}

/// Opens the window and returns the new state. Without a window every request is answered with "out
/// of memory".
fn open_window(local: &Local) -> u32 {
    let backend = match ON_BREAK.load(Relaxed) {
        true => Backend::Brk,
        false => Backend::Mmap,
    };
    let opened = HEAP.open(local, backend, HEAP.checking(), &hints());
    if opened.is_ok() { OPEN } else { WITHOUT_WINDOW }
}

/// Says that whoever loaded the heap ends the helper (`Heap::hold_helper`) before credentials or
/// namespaces change.
pub fn guard_credentials() {
    GUARDED.store(true, Relaxed);
}

/// Opens the heap now: for a constructor.
pub fn start() {
    ready(local());
}

/// Publishes the last figures of the process: for a destructor.
pub fn finish() {
    let local = local();
    if STATE.load(Relaxed) != OPEN || local.is_busy() {
        return;
    }
    if HEAP.checking() {
        HEAP.inspect_quarantine(local);
    }
    if !HEAP.tally.is_shared() {
        return;
    }
    // Then the last count is exact.
    HEAP.finish_thread(local);
    HEAP.publish();
    HEAP.tally.page().finished.store(1, Relaxed);
}

/// Starts the helper, unless it would outlive the privileges it was started with.
fn wake_helper() {
    if GUARDED.load(Relaxed) || !neap_os::credential::privileged() {
        HEAP.start_helper();
    } else {
        // Slow paths do its work from here on.
        HEAP.options.helper_off.store(true, Relaxed);
    }
}

/// A key that is made once, while the heap opens.
struct KeyCell {
    key: core::cell::UnsafeCell<Option<ExitKey>>,
}

// SAFETY: written once in `open`, before STATE says OPEN (release); read only by threads that passed
// `ready` (acquire) or by the opening thread itself.
unsafe impl Sync for KeyCell {}

impl KeyCell {
    const fn new() -> KeyCell {
        KeyCell {
            key: core::cell::UnsafeCell::new(None),
        }
    }
    fn set(&self, key: Option<ExitKey>) {
        // SAFETY: see `Sync`: nobody reads yet.
        unsafe { *self.key.get() = key };
    }
    fn get(&self) -> Option<ExitKey> {
        // SAFETY: see `Sync`: nobody writes any more.
        unsafe { *self.key.get() }
    }
}

/// Rounds of thread-specific destructors that pass before the thread's memory is taken back: other
/// keys' destructors still free, and POSIX runs four rounds.
const ROUNDS: usize = 3;

fn watch(_: &Local) {
    arm(1);
}

fn arm(round: usize) {
    if let (Some(key), Some(value)) = (KEY.get(), NonNull::new(core::ptr::without_provenance_mut(round))) {
        let _ = key.arm(value);
    }
}

unsafe extern "C" fn end_thread(value: *mut c_void) {
    let round = value.addr();
    if round < ROUNDS {
        arm(round + 1);
    } else {
        HEAP.finish_thread(local());
    }
}

unsafe extern "C" fn before_fork() {
    HEAP.fork_prepare(local());
}

unsafe extern "C" fn in_parent() {
    HEAP.fork_parent(local());
}

unsafe extern "C" fn in_child() {
    HEAP.fork_child(local());
    let joined = BOARD_PAGE.swap(0, Relaxed);
    if joined != 0 {
        // The page is the parent's. The child counts its own calls from here.
        HEAP.tally.leave_shared();
        if let Some(span) = neap_os::unit::Span::new(joined, PAGE_BYTES) {
            // SAFETY: mapped by `join_board` (1); since `leave_shared` nobody uses it (2).
            let _ = unsafe { HEAP.vm.unmap(span) };
        }
        join_board();
        HEAP.publish();
    }
}

/// Address of the board's page in use, or 0.
static BOARD_PAGE: AtomicUsize = AtomicUsize::new(0);

/// Takes a page of the board that `neap run` named, if it did and it can be reached. The name is
/// looked up afresh in each process: a program may have taken it out of its environment.
fn join_board() {
    if env::secure() {
        return;
    }
    let Some(name) = env::lookup(ENV_BOARD) else {
        return;
    };
    let mut path = [0u8; 64];
    let Some(room) = path.get_mut(..name.len()) else {
        return;
    };
    room.copy_from_slice(name);
    let Ok(path) = CStr::from_bytes_until_nul(&path) else {
        return;
    };
    let Ok(fd) = share::open_shared(path) else { return };
    if let Some(page) = take_page(fd)
        && let Ok(span) = share::map_shared(fd, (page * PAGE_BYTES) as u64, Bytes(PAGE_BYTES))
    {
        // SAFETY: a fresh shared mapping of one zero page, unmapped only by `in_child`, after the
        // tally has left it (1).
        unsafe { HEAP.tally.share_at(span.base()) };
        let backend = HEAP.window().backend();
        HEAP.tally.begin(thread::getpid(), clock::monotonic_ns(), backend);
        BOARD_PAGE.store(span.base(), Relaxed);
    }
    share::close(fd);
}

fn take_page(fd: share::Fd) -> Option<usize> {
    let span = share::map_shared(fd, 0, Bytes(PAGE_BYTES)).ok()?;
    // SAFETY: the span is a whole page, aligned, shared with other processes and nothing but atomics.
    let directory = unsafe { &*core::ptr::with_exposed_provenance::<Directory>(span.base()) };
    let page = neap_abi::take_page(directory);
    // SAFETY: mapped just now (1), and the reference is gone (2).
    let _ = unsafe { HEAP.vm.unmap(span) };
    page
}
