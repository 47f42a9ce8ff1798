//! [`Action`]: what a program can do to a heap, and what can happen to it.

use crate::options::Setting;

/// One step. Numbers that choose a thread or a block are taken modulo how many there are.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Allocate {
        thread: usize,
        size: usize,
    },
    Zeroed {
        thread: usize,
        size: usize,
    },
    Aligned {
        thread: usize,
        size: usize,
        shift: u32,
    },
    Resize {
        thread: usize,
        nth: usize,
        size: usize,
    },
    /// By the thread that allocated it.
    Free {
        nth: usize,
    },
    FreeOnOtherThread {
        thread: usize,
        nth: usize,
    },
    /// Many blocks of one size.
    Burst {
        thread: usize,
        size: usize,
        count: usize,
    },
    /// Every `step`-th block.
    FreeEvery {
        thread: usize,
        step: usize,
    },
    /// A signal handler that interrupted a slow path of the thread.
    AllocateInHandler {
        thread: usize,
        size: usize,
    },
    FreeInHandler {
        thread: usize,
        nth: usize,
    },
    NewThread,
    EndThread {
        thread: usize,
    },
    /// A thread ends without the heap being told, and another begins at its address.
    LoseThread {
        thread: usize,
    },
    /// fork(2) by the thread; the world goes on as the child.
    Fork {
        thread: usize,
    },
    Tick(usize),
    Trim {
        thread: usize,
    },
    SetOption(Setting, usize),
    /// The simulated kernel refuses the n-th call from now.
    FailNext(u64),
    ForeignSbrk(usize),
}
