//! Where the records of one heap are: the note's anchor and the table of fields, read and checked.

use std::ops::Range;

use neap_abi::anatomy::{ANCHOR_WORDS, CHUNK, CHUNKS_MAX, FIELDS, Field, SCRAP_OFFSET, TABLES};

use super::memory::Memory;

/// Addresses above this are the kernel's, on every machine neap runs on.
const ADDRESS_MAX: u64 = 1 << 56;

/// The places of a heap's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    heap: u64,
    fields: [u32; FIELDS],
    /// The code that gives back what the calling thread keeps.
    pub(super) stub: Range<u64>,
}

/// The window and its tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) base: u64,
    /// Chunks that have records.
    pub(super) chunks: u64,
    meta: u64,
    /// Chunks below this are handed out or absent.
    pub(super) top: u64,
    pub(super) checked: bool,
}

impl Layout {
    /// What the anchor leads to. `None`: nothing yet, since the program has not begun.
    pub(super) fn read(memory: &impl Memory, anchor: u64) -> Option<Layout> {
        let mut words = [0; ANCHOR_WORDS];
        for (n, word) in words.iter_mut().enumerate() {
            *word = memory.word(anchor.checked_add(n as u64 * 8)?)?;
        }
        let [heap, places, start, end] = words;
        if words.iter().any(|&word| word == 0 || word > ADDRESS_MAX) || start >= end {
            return None;
        }
        let mut bytes = [0; FIELDS * 4];
        if !memory.read(places, &mut bytes) {
            return None;
        }
        let mut fields = [0; FIELDS];
        for (field, bytes) in fields.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *field = u32::from_ne_bytes(*bytes);
        }
        Some(Layout {
            heap,
            fields,
            stub: start..end,
        })
    }

    /// The number that the table has for `field`.
    pub(super) fn number(&self, field: Field) -> u64 {
        self.fields.get(field as usize).copied().map_or(0, u64::from)
    }

    /// The address of a field of the heap.
    pub(super) fn address(&self, field: Field) -> u64 {
        self.heap.saturating_add(self.number(field))
    }

    /// The word of a field of the heap.
    pub(super) fn word(&self, memory: &impl Memory, field: Field) -> Option<u64> {
        memory.word(self.address(field))
    }

    /// As [`Layout::word`], of a field of 4 bytes.
    pub(super) fn half(&self, memory: &impl Memory, field: Field) -> Option<u32> {
        let mut bytes = [0; 4];
        let read = memory.read(self.address(field), &mut bytes);
        read.then(|| u32::from_ne_bytes(bytes))
    }

    /// The window; `None` while the heap is closed, or when what is read cannot be.
    pub(super) fn window(&self, memory: &impl Memory) -> Option<Window> {
        let base = self.word(memory, Field::WindowBase)?;
        let limit = self.word(memory, Field::WindowLimit)?;
        let meta = self.word(memory, Field::WindowMeta)?;
        let chunks = limit / CHUNK;
        if base == 0 || base > ADDRESS_MAX || meta == 0 || meta > ADDRESS_MAX || chunks > CHUNKS_MAX {
            return None;
        }
        Some(Window {
            base,
            chunks,
            meta,
            top: u64::from(self.half(memory, Field::WindowTop)?).min(chunks),
            checked: self.half(memory, Field::Checked)? != 0,
        })
    }

    /// The mapped parts of the tables and of the scrap.
    pub(super) fn records(&self, memory: &impl Memory, window: &Window) -> Vec<Range<u64>> {
        let mapped = self.address(Field::WindowMapped);
        let tables = TABLES.iter().enumerate().filter_map(|(n, table)| {
            let bytes = memory.word(mapped.saturating_add(n as u64 * 8))?;
            // No table is longer than its records.
            let bytes = bytes.min(CHUNKS_MAX * table.per_chunk);
            Some((window.meta + table.offset, bytes))
        });
        let scrap = self.word(memory, Field::ScrapMapped).unwrap_or(0).min(1 << 30);
        let most = memory.most_bytes();
        tables
            .chain([(window.meta + SCRAP_OFFSET, scrap)])
            .filter(|(_, bytes)| *bytes != 0 && *bytes <= most)
            .map(|(start, bytes)| start..start + bytes)
            .collect()
    }
}

impl Window {
    /// The address of the records of chunk number `chunk` in table number `table`.
    pub(super) fn table(&self, table: usize, chunk: u64) -> u64 {
        TABLES.get(table).map_or(self.meta, |table| {
            self.meta + table.offset + chunk.saturating_mul(table.per_chunk)
        })
    }

    /// The address of a chunk.
    pub(super) fn chunk(&self, chunk: u64) -> u64 {
        self.base + chunk * CHUNK
    }
}
