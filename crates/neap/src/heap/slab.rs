//! One slab: which of its blocks are free, and how many live bytes each of its pages has.
//!
//! The record is read before and after the lists, as with a sequence lock; a list that does not fit its record
//! is another moment's. Links are followed in a copy of the slab's pages: never outside of it, never twice over a
//! block, never to a page that is not in memory.

use neap_abi::anatomy::{GRANULE, PAGES_PER_GRANULE, block_bytes, check, slab};

use super::memory::{Memory, PAGE, Presence, State};
use super::spans::{half, word};

/// Blocks a slab has at most.
const BLOCKS_MAX: usize = 4096;
/// How often a slab that is changing is looked at.
const TRIES: usize = 4;

/// A slab's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    list: u64,
    used: u32,
    fresh: u32,
    unlisted: u32,
    class: u32,
    remote: u64,
}

/// What is known of one slab.
#[derive(Clone, Debug)]
pub(super) struct Slab {
    pub(super) class: usize,
    pub(super) class_bytes: u64,
    pub(super) live_blocks: u64,
    /// Live bytes of each page.
    pub(super) live: [u16; PAGES_PER_GRANULE],
    /// Its lists were changing, or not to be had: the bytes are spread evenly.
    pub(super) spread: bool,
}

impl Record {
    pub(super) fn parse(bytes: &[u8]) -> Record {
        let freed = half(bytes, slab::ARMED).wrapping_sub(half(bytes, slab::NEED));
        Record {
            list: word(bytes, slab::LIST),
            used: half(bytes, slab::USED).wrapping_sub(freed),
            fresh: half(bytes, slab::FRESH) & 0xffff,
            unlisted: half(bytes, slab::UNLISTED),
            class: half(bytes, slab::CLASS),
            remote: word(bytes, slab::REMOTE),
        }
    }

    fn state(&self) -> u8 {
        (self.remote >> 32 & 0xff) as u8
    }

    /// Blocks that other threads have freed.
    fn handed(&self) -> u32 {
        (self.remote >> 16 & 0xffff) as u32
    }
}

/// Free blocks, a bit each.
struct Free([u64; BLOCKS_MAX / 64]);

impl Free {
    fn holds(&self, n: usize) -> bool {
        self.0.get(n / 64).is_some_and(|word| word >> (n % 64) & 1 == 1)
    }

    /// Adds block `n`; false if it is there already.
    fn add(&mut self, n: usize) -> bool {
        match self.0.get_mut(n / 64) {
            Some(word) => {
                let bit = 1 << (n % 64);
                let new = *word & bit == 0;
                *word |= bit;
                new
            }
            None => false,
        }
    }
}

/// A slab's place: the address of its first block, and that of its record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) base: u64,
    pub(super) record: u64,
    /// The checking mode's record, in that mode.
    pub(super) check: Option<u64>,
}

/// Looks at the slab at `place`, whose record was read as `first`. `None`: the granule is no slab.
pub(super) fn look(
    memory: &impl Memory,
    place: Place,
    first: &[u8],
    presence: Option<&Presence>,
) -> Option<Slab> {
    let mut record = Record::parse(first);
    for _ in 0..TRIES {
        let class = usize::try_from(record.class).ok()?.checked_sub(1)?;
        let class_bytes = block_bytes(class)?;
        if record.state() == slab::NONE {
            return None;
        }
        let free = free_blocks(memory, place, &record, class_bytes, presence);
        let mut bytes = [0; slab::BYTES];
        if !memory.read(place.record, &mut bytes) {
            break;
        }
        let after = Record::parse(&bytes);
        if after == record
            && let Some(free) = free
        {
            return Some(counted(class, class_bytes, &free));
        }
        if after == record && record.state() != slab::CHECKED {
            // At rest, and yet its lists are not to be had.
            break;
        }
        record = after;
    }
    let class = usize::try_from(record.class).ok()?.checked_sub(1)?;
    Some(spread(class, block_bytes(class)?, &record))
}

/// The free blocks; `None` if the lists and the record do not fit together.
fn free_blocks(
    memory: &impl Memory,
    place: Place,
    record: &Record,
    size: u64,
    presence: Option<&Presence>,
) -> Option<Free> {
    let capacity = usize::try_from(GRANULE / size).ok()?;
    let mut free = Free([0; BLOCKS_MAX / 64]);
    if record.state() == slab::FULL {
        return Some(free);
    }
    if record.state() == slab::CHECKED {
        let mut used = [0; BLOCKS_MAX / 8];
        let at = place.check?.checked_add(check::USED as u64)?;
        memory.read(at, &mut used).then_some(())?;
        for (slot, word) in free.0.iter_mut().zip(used.as_chunks::<8>().0) {
            *slot = !u64::from_ne_bytes(*word);
        }
        return Some(free);
    }
    let mut unlisted = 0;
    for page in (0..PAGES_PER_GRANULE).filter(|page| record.fresh >> page & 1 == 1) {
        for n in blocks_from(page, size, capacity)..blocks_from(page + 1, size, capacity) {
            unlisted += 1;
            free.add(n);
        }
    }
    let taken = usize::try_from(record.used.checked_add(record.unlisted)?).ok()?;
    let listed = capacity.checked_sub(taken)?;
    let handed = usize::try_from(record.handed()).ok()?;
    if unlisted != record.unlisted as usize || (listed == 0) != (record.list == 0) {
        return None;
    }
    if listed == 0 && handed == 0 {
        return Some(free);
    }
    let blocks = copy(memory, place.base, record.fresh, presence)?;
    let walk = Walk {
        blocks: &blocks,
        base: place.base,
        size,
        capacity,
    };
    walk.list(&mut free, record.list, listed)?;
    let unit = record.remote & 0xffff;
    let head = match unit.checked_sub(1) {
        Some(unit) => place.base.checked_add(unit * 16)?,
        None => 0,
    };
    walk.list(&mut free, head, handed)?;
    Some(free)
}

/// The first block that starts on or after page `page`.
fn blocks_from(page: usize, size: u64, capacity: usize) -> usize {
    usize::try_from((page as u64 * PAGE).div_ceil(size)).map_or(capacity, |n| n.min(capacity))
}

/// The slab's pages; zeros for those that are not in memory. `None` if one cannot be read.
fn copy(memory: &impl Memory, base: u64, fresh: u32, presence: Option<&Presence>) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(GRANULE).ok()?];
    let wanted = |page: usize| match presence {
        Some(presence) => presence.get(base + page as u64 * PAGE) == State::Resident,
        None => fresh >> page & 1 == 0,
    };
    let mut page = 0;
    while page < PAGES_PER_GRANULE {
        let count = (page..PAGES_PER_GRANULE).take_while(|page| wanted(*page)).count();
        let bytes_of = |n: usize| n * PAGE as usize;
        let part = bytes.get_mut(bytes_of(page)..bytes_of(page + count))?;
        if count != 0 && !memory.read(base + page as u64 * PAGE, part) {
            return None;
        }
        page += count.max(1);
    }
    Some(bytes)
}

/// A copy of a slab, to follow lists in.
struct Walk<'a> {
    blocks: &'a [u8],
    base: u64,
    size: u64,
    capacity: usize,
}

impl Walk<'_> {
    /// Adds the `count` blocks of the list from `head` on. `None` if there are more or fewer, or what is no block.
    fn list(&self, free: &mut Free, head: u64, count: usize) -> Option<()> {
        let mut at = head;
        for _ in 0..count {
            let offset = at.checked_sub(self.base)?;
            let n = usize::try_from(offset / self.size).ok()?;
            if !offset.is_multiple_of(self.size) || n >= self.capacity || !free.add(n) {
                return None;
            }
            at = word(self.blocks, usize::try_from(offset).ok()?);
        }
        (at == 0).then_some(())
    }
}

fn counted(class: usize, class_bytes: u64, free: &Free) -> Slab {
    let capacity = usize::try_from(GRANULE / class_bytes)
        .unwrap_or(0)
        .min(BLOCKS_MAX);
    let mut live = [0_u16; PAGES_PER_GRANULE];
    let mut live_blocks = 0;
    for n in (0..capacity).filter(|n| !free.holds(*n)) {
        live_blocks += 1;
        let mut at = n as u64 * class_bytes;
        let end = at + class_bytes;
        while at < end {
            let upto = end.min((at / PAGE + 1) * PAGE);
            if let Some(page) = live.get_mut((at / PAGE) as usize) {
                *page += (upto - at) as u16;
            }
            at = upto;
        }
    }
    Slab {
        class,
        class_bytes,
        live_blocks,
        live,
        spread: false,
    }
}

/// What the record alone says.
fn spread(class: usize, class_bytes: u64, record: &Record) -> Slab {
    let capacity = GRANULE / class_bytes;
    let used = match record.state() {
        slab::FULL => capacity,
        slab::NONE | slab::CHECKED => 0,
        _ => u64::from(record.used.saturating_sub(record.handed())).min(capacity),
    };
    let pages = (0..PAGES_PER_GRANULE).filter(|page| record.fresh >> page & 1 == 0);
    let count = pages.clone().count().max(1) as u64;
    let mut live = [0; PAGES_PER_GRANULE];
    for page in pages {
        if let Some(page) = live.get_mut(page) {
            *page = (used * class_bytes / count).min(PAGE) as u16;
        }
    }
    Slab {
        class,
        class_bytes,
        live_blocks: used,
        live,
        spread: true,
    }
}
