//! The whole heap, page by page.
//!
//! Goes through the window chunk by chunk, then the mappings of their own, then the records. What a page is used
//! for says the heap, whether it is in memory the kernel.

use neap_abi::anatomy::{CONFINED, DIRECT_SLOTS, DIRECT_WAITING, Field};

use super::caches;
use super::layout::Layout;
use super::memory::{Memory, PAGE};
use super::pages::{PageRun, Use};
use super::spans::{BATCH, Role, pairs, spans};
use super::walk::Walk;
use super::{Inside, Why};

/// A heap at about one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Survey {
    /// Every page of the heap, in the order of addresses.
    pub(crate) pages: Vec<PageRun>,
    /// The size classes that have slabs, smallest first.
    pub(crate) classes: Vec<ClassUse>,
    /// Bytes of blocks in use, class sizes, with those ready in threads' caches.
    pub(crate) live_bytes: u64,
    pub(crate) live_blocks: u64,
    /// Of those: blocks above the size classes.
    pub(crate) large_bytes: u64,
    pub(crate) large_blocks: u64,
    /// Of those: mappings of their own.
    pub(crate) direct_bytes: u64,
    pub(crate) direct_blocks: u64,
    /// Addresses the heap has for blocks.
    pub(crate) held_bytes: u64,
    /// Free pages that were not given back yet, whether in memory or not; not those of slabs in use.
    pub(crate) dirt_bytes: u64,
    /// In memory, of all but the records; `None` when the kernel does not say.
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) records_bytes: u64,
    pub(crate) records_resident_bytes: Option<u64>,
    /// Bytes of live blocks that no thread's program holds: ready in the threads' caches. Counted as live.
    pub(crate) cached_bytes: u64,
    pub(crate) cached_blocks: u64,
    pub(crate) slabs: u64,
    /// Slabs whose lists changed whenever they were looked at, or lie in swapped-out pages: their live bytes are
    /// spread evenly over their pages.
    pub(crate) moving: u64,
}

/// One size class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClassUse {
    pub(crate) block_bytes: u64,
    pub(crate) live_blocks: u64,
    pub(crate) slabs: u64,
    /// Pages of its slabs that are in memory; 0 when the kernel does not say.
    pub(crate) pages_resident: u64,
    /// Bytes of those pages that no live block has.
    pub(crate) free_bytes_on_resident_pages: u64,
}

impl Inside {
    /// Looks at the whole heap. Some tens of milliseconds for each GiB, more if most of its slabs have free blocks.
    ///
    /// # Errors
    /// [`Why`].
    pub(crate) fn survey(&self) -> Result<Survey, Why> {
        let memory = self.memory()?;
        let Some(layout) = self.layout()? else {
            return Ok(Survey::default());
        };
        // Without pagemap nobody knows what was never touched, and reading all would touch it.
        if let Some(window) = layout.window(memory)
            && memory.presence(window.base..window.base + PAGE).is_none()
        {
            return Err(match self.proc.statm(self.pid).value() {
                Some(_) => Why::Denied(
                    "its /proc/PID/pagemap is closed: run neap as the same user, or as root".to_owned(),
                ),
                None => Why::Gone,
            });
        }
        let survey = survey(memory, &layout);
        match self.proc.statm(self.pid).value() {
            Some(_) => Ok(survey),
            // What was read last may have been nothing.
            None => Err(Why::Gone),
        }
    }
}

/// The survey of a heap in `memory`.
pub(super) fn survey(memory: &impl Memory, layout: &Layout) -> Survey {
    let table = |field, slots| pairs(memory, layout.address(field), slots);
    let mut walk = Walk::new(memory, table(Field::Confined, CONFINED));
    if let Some(window) = layout.window(memory) {
        let mut first = 0;
        while first < window.top {
            let count = BATCH.min(window.top - first);
            if !walk.chunks(&window, first, count) {
                break;
            }
            first += count;
        }
    }
    for block in table(Field::DirectSlots, DIRECT_SLOTS) {
        walk.direct(&block);
    }
    // Freed ones that wait to be unmapped.
    for block in table(Field::DirectWaiting, DIRECT_WAITING) {
        walk.waiting(&block);
    }
    for span in spans(memory, layout)
        .iter()
        .filter(|span| span.role == Role::Records)
    {
        walk.uniform(&span.addresses, Use::Records, 0);
    }
    walk.finish(caches::caches(memory, layout))
}
