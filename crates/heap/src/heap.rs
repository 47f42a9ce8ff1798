//! [`Heap`]: the allocator's state, over one [`Vm`], for any number of threads.
//!
//! Owns nothing but the sum of its parts; every operation is an `impl Heap` in a module of its own,
//! listed after this one.

use crate::class::{self, Class};
use crate::direct::Direct;
use crate::ground::Ground;
use crate::options::Options;
use crate::quarantine::Quarantine;
use crate::registry::Registry;
use crate::shelf::Shelf;
use crate::sync::{AtomicUsize, Relaxed};
use crate::tally::Tally;
use crate::tide::Tide;
use crate::window::Window;
use neap_os::vm::Vm;

/// The largest request that can succeed: PTRDIFF_MAX.
pub const REQUEST_MAX: usize = isize::MAX as usize;

/// The allocator. All zero it is closed: the first slow path opens it.
pub struct Heap<V: Vm> {
    pub(crate) vm: V,
    pub(crate) ground: Ground,
    pub(crate) shelves: [Shelf; class::COUNT],
    pub(crate) direct: Direct,
    pub(crate) registry: Registry,
    pub(crate) tide: Tide,
    pub(crate) tally: Tally,
    pub(crate) options: Options,
    pub(crate) quarantine: Quarantine,
    /// Blocks that signal handlers freed in the middle of a slow path, linked by their first words.
    pub(crate) deferred: AtomicUsize,
    /// How many of those there are.
    pub(crate) deferred_count: AtomicUsize,
}

impl<V: Vm> Heap<V> {
    /// A closed heap over `vm`.
    #[must_use]
    pub const fn new(vm: V) -> Heap<V> {
        Heap {
            vm,
            ground: Ground::new(),
            shelves: [const { Shelf::new() }; class::COUNT],
            direct: Direct::new(),
            registry: Registry::new(),
            tide: Tide::new(),
            tally: Tally::new(),
            options: Options::new(),
            quarantine: Quarantine::new(),
            deferred: AtomicUsize::new(0),
            deferred_count: AtomicUsize::new(0),
        }
    }

    #[inline(always)]
    pub(crate) fn window(&self) -> &Window {
        &self.ground.window
    }

    /// The size class of the slab `address` lies in, for messages.
    pub(crate) fn class_at(&self, address: usize) -> Option<Class> {
        self.window()
            .offset(address)
            .and_then(|offset| self.window().slab_at(offset).class())
    }

    /// The byte that fills freed blocks, or 0.
    #[inline]
    pub(crate) fn perturb(&self) -> u8 {
        self.options.perturb.load(Relaxed)
    }

    #[inline]
    pub(crate) fn checking(&self) -> bool {
        self.options.check.load(Relaxed)
    }
}
