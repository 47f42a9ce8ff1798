//! What lies ready in threads' caches: hands, pockets, outboxes. To the heap these blocks are in use.
//!
//! Threads use them without a word to anybody, so a list may change while it is followed: what is counted is
//! bounded, and about right. Links are read where they lie, a page at a time.

use neap_abi::anatomy::{
    CLASSES, Field, GRANULE, OUTBOX_LISTS, POCKET_BINS, POCKET_DEPTH, block_bytes, slab,
};

use super::layout::{Layout, Window};
use super::memory::{Memory, PAGE, State};
use super::spans::{half, word};

/// As many threads as the kernel allows by itself (kernel.threads-max, of most machines).
const RECORDS_MAX: usize = 1 << 15;
/// Links that are followed in all, and pages that are read for them.
const LINKS_MAX: u64 = 1 << 22;
const PAGES_MAX: u64 = 1 << 16;
/// More blocks than a hand ever holds: a slab's and a byte's worth of room.
const HAND_MAX: usize = 4096 + 256;

/// Blocks ready in the caches of threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Caches {
    pub(super) threads: u64,
    pub(super) blocks: u64,
    pub(super) bytes: u64,
}

/// What all threads have.
pub(super) fn caches(memory: &impl Memory, layout: &Layout) -> Caches {
    let mut caches = Caches::default();
    let (Some(window), Some(mut record)) = (layout.window(memory), layout.word(memory, Field::Records))
    else {
        return caches;
    };
    let mut reader = Links {
        memory,
        page: 0,
        bytes: None,
        window,
        left: LINKS_MAX,
        pages_left: PAGES_MAX.min(memory.most_bytes() / PAGE),
    };
    for _ in 0..RECORDS_MAX {
        if record == 0 {
            break;
        }
        let at = |field| record.saturating_add(layout.number(field));
        let user = memory.word(at(Field::ThreadUser)).unwrap_or(0);
        // 1: of a thread that did not come along a fork.
        if user > 1 {
            caches.threads += 1;
            hand(
                &mut reader,
                &mut caches,
                user.saturating_add(layout.number(Field::LocalHands)),
            );
            pocket(memory, &mut caches, at(Field::ThreadPocket));
            outbox(memory, layout, &window, &mut caches, at(Field::ThreadOutbox));
        }
        record = memory.word(at(Field::ThreadNext)).unwrap_or(0);
    }
    caches
}

fn hand(reader: &mut Links<'_, impl Memory>, caches: &mut Caches, heads: u64) {
    let mut bytes = [0; CLASSES * 8];
    if !reader.memory.read(heads, &mut bytes) {
        return;
    }
    for (class, head) in bytes.as_chunks::<8>().0.iter().enumerate() {
        let mut at = u64::from_ne_bytes(*head);
        for _ in 0..HAND_MAX {
            if at == 0 {
                break;
            }
            let Some(next) = reader.link(at) else { break };
            caches.blocks += 1;
            caches.bytes += block_bytes(class).unwrap_or(0);
            at = next;
        }
    }
}

fn pocket(memory: &impl Memory, caches: &mut Caches, bins: u64) {
    let mut bytes = [0; POCKET_BINS * POCKET_DEPTH * 8];
    if !memory.read(bins, &mut bytes) {
        return;
    }
    for (n, run) in bytes.as_chunks::<8>().0.iter().enumerate() {
        if *run != [0; 8] {
            caches.blocks += 1;
            caches.bytes += (n / POCKET_DEPTH + 1) as u64 * PAGE;
        }
    }
}

fn outbox(memory: &impl Memory, layout: &Layout, window: &Window, caches: &mut Caches, lists: u64) {
    let number = |field| usize::try_from(layout.number(field)).unwrap_or(0);
    let stride = number(Field::OutboxStride).min(256);
    let mut bytes = vec![0; OUTBOX_LISTS * stride];
    if !memory.read(lists, &mut bytes) {
        return;
    }
    for list in bytes.chunks_exact(stride.max(1)) {
        let first = word(list, number(Field::OutboxFirst));
        let count = half(list, number(Field::OutboxCount));
        let granule = first.wrapping_sub(window.base) / GRANULE;
        if first == 0 || granule >= window.chunks * 32 || count > 64 {
            continue;
        }
        let mut record = [0; slab::BYTES];
        if memory.read(window.table(0, 0) + granule * slab::BYTES as u64, &mut record) {
            let class = half(&record, slab::CLASS).checked_sub(1);
            let size = class.and_then(|class| block_bytes(usize::try_from(class).ok()?));
            caches.blocks += u64::from(count);
            caches.bytes += u64::from(count) * size.unwrap_or(0);
        }
    }
}

/// Reads links, the page of the last one at hand.
struct Links<'a, M> {
    memory: &'a M,
    page: u64,
    bytes: Option<Box<[u8; PAGE as usize]>>,
    /// No block of a cache lies outside of it.
    window: Window,
    /// Links that may still be followed, and pages that may be read.
    left: u64,
    pages_left: u64,
}

impl<M: Memory> Links<'_, M> {
    /// The first word of the block at `address`; `None` when it is not in memory.
    fn link(&mut self, address: u64) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        if address < self.window.base || address >= self.window.chunk(self.window.chunks) {
            return None;
        }
        let page = address / PAGE * PAGE;
        if self.bytes.is_none() || page != self.page {
            self.pages_left = self.pages_left.checked_sub(1)?;
            let presence = self.memory.presence(page..page.checked_add(PAGE)?);
            let there = presence.is_none_or(|presence| presence.get(page) == State::Resident);
            let mut bytes = Box::new([0; PAGE as usize]);
            if !there || !self.memory.read(page, bytes.as_mut_slice()) {
                return None;
            }
            (self.page, self.bytes) = (page, Some(bytes));
        }
        let at = usize::try_from(address - page).ok()?;
        let bytes = self.bytes.as_deref()?.get(at..at.checked_add(8)?)?;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    }
}
