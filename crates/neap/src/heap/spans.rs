//! The addresses a heap has, and what for.

use std::ops::Range;

use neap_abi::anatomy::{CHUNK, DIRECT_NONE_MAX, Field, HELPER_STACK, chunk};

use super::layout::{Layout, Window};
use super::memory::{Memory, PAGE};
use super::{Inside, Why};

/// Chunks whose records are read at once.
pub(super) const BATCH: u64 = 64;

/// A range of addresses of the heap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeapSpan {
    pub(crate) addresses: Range<u64>,
    pub(crate) role: Role,
}

/// What a range is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    /// Blocks of every kind but the largest.
    Window,
    /// The heap's own records.
    Records,
    /// One block that is a mapping of its own.
    Direct,
}

impl Role {
    /// One word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Role::Window => "window",
            Role::Records => "records",
            Role::Direct => "direct",
        }
    }

    /// What it is, in a sentence.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Role::Window => {
                "libneap.so's blocks: slabs, runs of pages and extents, and what is free between them"
            }
            Role::Records => "libneap.so's records of its blocks, kept apart from them",
            Role::Direct => "one block of libneap.so's that is a mapping of its own",
        }
    }
}

impl Inside {
    /// The addresses the heap has, in their order. None yet before the program has begun.
    ///
    /// # Errors
    /// [`Why`].
    pub(crate) fn spans(&self) -> Result<Vec<HeapSpan>, Why> {
        let memory = self.memory()?;
        match self.layout()? {
            Some(layout) => Ok(spans(memory, &layout)),
            None => Ok(Vec::new()),
        }
    }
}

/// All spans.
pub(super) fn spans(memory: &impl Memory, layout: &Layout) -> Vec<HeapSpan> {
    let mut spans = Vec::new();
    let mut add = |role, addresses: Range<u64>| {
        if !addresses.is_empty() {
            spans.push(HeapSpan { addresses, role });
        }
    };
    if let Some(window) = layout.window(memory) {
        held(memory, &window, |addresses| add(Role::Window, addresses));
        for addresses in layout.records(memory, &window) {
            add(Role::Records, addresses);
        }
    }
    let stack = layout.word(memory, Field::HelperStack).unwrap_or(0);
    if stack != 0 && stack.is_multiple_of(PAGE) {
        add(Role::Records, stack..stack.saturating_add(HELPER_STACK));
    }
    for (field, slots) in [
        (Field::DirectSlots, neap_abi::anatomy::DIRECT_SLOTS),
        (Field::DirectWaiting, neap_abi::anatomy::DIRECT_WAITING),
    ] {
        for addresses in pairs(memory, layout.address(field), slots) {
            add(Role::Direct, addresses);
        }
    }
    spans.sort_by_key(|span| span.addresses.start);
    spans
}

/// The address ranges in a table of `slots` pairs of address and bytes.
pub(super) fn pairs(memory: &impl Memory, table: u64, slots: usize) -> Vec<Range<u64>> {
    let mut bytes = vec![0; slots * 16];
    memory.read_sparsely(table, &mut bytes);
    let words = bytes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|word| u64::from_ne_bytes(*word));
    let words: Vec<u64> = words.collect();
    let mut left = memory.most_bytes();
    let ranges = words.as_chunks::<2>().0.iter().filter_map(|&[address, length]| {
        let plausible =
            address > DIRECT_NONE_MAX && address.is_multiple_of(PAGE) && length.is_multiple_of(PAGE);
        let end = address.checked_add(length)?;
        if !plausible || length == 0 {
            return None;
        }
        left = left.checked_sub(length)?;
        Some(address..end)
    });
    ranges.collect()
}

/// Calls `each` with the parts of the window that are the heap's.
fn held(memory: &impl Memory, window: &Window, mut each: impl FnMut(Range<u64>)) {
    let mut open: Option<u64> = None;
    let mut number = 0;
    while number < window.top {
        let count = BATCH.min(window.top - number);
        let records = records(memory, window, number, count);
        for (n, record) in (number..).zip(records.as_chunks::<{ chunk::BYTES }>().0) {
            match (kind(record) != chunk::ABSENT, open) {
                (true, None) => open = Some(n),
                (false, Some(first)) => {
                    each(window.chunk(first)..window.chunk(n));
                    open = None;
                }
                _ => {}
            }
        }
        number += count;
    }
    if let Some(first) = open {
        each(window.chunk(first)..window.chunk(window.top - 1) + CHUNK);
    }
}

/// The records of `count` chunks from number `first` on.
pub(super) fn records(memory: &impl Memory, window: &Window, first: u64, count: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(count).unwrap_or(0) * chunk::BYTES];
    memory.read_sparsely(window.table(1, first), &mut bytes);
    bytes
}

/// What a chunk is used for.
pub(super) fn kind(record: &[u8; chunk::BYTES]) -> u32 {
    half(record, chunk::KIND)
}

/// The four bytes at `at`.
pub(super) fn half(record: &[u8], at: usize) -> u32 {
    record
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_ne_bytes)
}

/// The eight bytes at `at`.
pub(super) fn word(record: &[u8], at: usize) -> u64 {
    record
        .get(at..at + 8)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_ne_bytes)
}
