//! [`Action`]: what a program can do to a heap, and what can happen to it.
//!
//! Numbers that choose a thread or a block are taken modulo how many there are, so that every action
//! means something in every world.
#![allow(
    missing_docs,
    reason = "fields mean the same in all variants: a thread, a block, bytes, how many"
)]

use crate::options::Setting;

/// One step.
#[derive(Clone, Debug)]
pub enum Action {
    /// malloc.
    Allocate { thread: usize, size: usize },
    /// calloc.
    Zeroed { thread: usize, size: usize },
    /// memalign, to 1 << shift.
    Aligned { thread: usize, size: usize, shift: u32 },
    /// realloc.
    Resize { thread: usize, nth: usize, size: usize },
    /// free, by the thread that allocated the block.
    Free { nth: usize },
    /// free, by another thread.
    FreeOnOtherThread { thread: usize, nth: usize },
    /// Many blocks of one size.
    Burst {
        thread: usize,
        size: usize,
        count: usize,
    },
    /// Every `step`-th block.
    FreeEvery { thread: usize, step: usize },
    /// malloc by a signal handler that interrupted a slow path of the thread.
    AllocateInHandler { thread: usize, size: usize },
    /// free by a signal handler that interrupted a slow path of the thread.
    FreeInHandler { thread: usize, nth: usize },
    /// A thread begins, at the address of one that ended if there is one.
    NewThread,
    /// A thread ends, and the heap is told.
    EndThread { thread: usize },
    /// A thread ends without the heap being told, and another begins at its address.
    LoseThread { thread: usize },
    /// fork(2) by the thread; the world goes on as the child.
    Fork { thread: usize },
    /// So many ticks of the tide.
    Tick(usize),
    /// malloc_trim.
    Trim { thread: usize },
    /// mallopt.
    SetOption(Setting, usize),
    /// The simulated kernel refuses the n-th call from now.
    FailNext(u64),
    /// Somebody else moves the break up.
    ForeignSbrk(usize),
}

impl Action {
    /// Whether the action never waits for a tick to end: neither asks for one nor for more than there is.
    #[must_use]
    pub fn is_meek(&self) -> bool {
        match *self {
            Action::Allocate { size, .. }
            | Action::Zeroed { size, .. }
            | Action::Resize { size, .. }
            | Action::AllocateInHandler { size, .. }
            | Action::Aligned { size, .. } => size < 1 << 30,
            Action::Tick(_) | Action::Trim { .. } | Action::LoseThread { .. } => false,
            Action::Fork { .. } | Action::FailNext(_) | Action::ForeignSbrk(_) => false,
            _ => true,
        }
    }
}
