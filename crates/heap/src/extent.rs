//! Extents: whole chunks in a row for one block of more than 1 MiB.
//!
//! Owns their beginning, growing and shrinking. An extent's last chunk may be used in part; the rest of
//! its pages stays free, for the extent to grow into. Everything happens under the lock of [`Pages`].

use crate::bits::Run;
use crate::chunk::{Chunk, Kind, group_bit};
use crate::ground::Piece;
use crate::layout::{CHUNK, CHUNK_SHIFT, PAGE};
use crate::pages::Pages;
use crate::sync::Relaxed;
use neap_os::vm::Vm;

impl<V: Vm> Pages<'_, V> {
    /// Marks the pages of an extent beyond its first `keep` bytes as free dirt.
    pub(crate) fn vacate_extent(&self, first: u32, bytes: usize, keep: usize) {
        self.each_part(first, keep, bytes, |pages, chunk, record, run| {
            record.vacate(run);
            pages.ground.soil(run.count);
            pages.window().group(chunk / 64).set_due(chunk);
        });
    }

    /// Calls `each` for every chunk that holds a part of bytes `from..to` of the extent at `first`.
    fn each_part(&self, first: u32, from: usize, to: usize, mut each: impl FnMut(&Self, u32, &Chunk, Run)) {
        let mut at = from;
        while at < to {
            let chunk = first + (at >> CHUNK_SHIFT) as u32;
            let end = to.min((at / CHUNK + 1) * CHUNK);
            let run = Run {
                first: at % CHUNK / PAGE,
                count: (end - at) / PAGE,
            };
            each(self, chunk, self.window().chunk(chunk), run);
            at = end;
        }
    }

    /// An extent of `bytes` (whole pages) with address space for `room` bytes.
    pub(crate) fn take_extent(&self, bytes: usize, room: usize) -> Option<Piece> {
        let chunks = room.max(bytes).div_ceil(CHUNK);
        let first = self.take_chunks(chunks)?;
        for chunk in first..first + chunks as u32 {
            self.window()
                .chunk(chunk)
                .set_kind(if chunk == first { Kind::Extent } else { Kind::Body });
        }
        let head = self.window().chunk(first);
        head.extent_chunks.store(chunks as u32, Relaxed);
        head.extent_bytes.store(bytes, Relaxed);
        self.occupy_extent(first, 0, bytes);
        self.ground.begin_large(bytes);
        Some(Piece {
            address: self.window().chunk_base(first),
            bytes,
        })
    }

    fn occupy_extent(&self, first: u32, from: usize, to: usize) {
        self.each_part(first, from, to, |pages, _, record, run| {
            pages.ground.clean(record.occupy(run));
        });
    }

    pub(crate) fn resize_extent(&self, chunk: u32, record: &Chunk, have: usize, bytes: usize) -> bool {
        let chunks = record.extent_chunks.load(Relaxed) as usize;
        let need = bytes.div_ceil(CHUNK);
        if bytes <= have {
            self.vacate_extent(chunk, have, bytes);
            for n in chunk + need as u32..chunk + chunks as u32 {
                self.window().chunk(n).set_kind(Kind::Free);
                self.mark_free(n, true);
            }
            record.extent_chunks.store(need as u32, Relaxed);
            record.extent_bytes.store(bytes, Relaxed);
            return true;
        }
        let end = self.window().chunk_count();
        // First in full: chunk numbers are shorter than sizes.
        if chunk as usize + need > end as usize {
            return false;
        }
        for n in chunk + chunks as u32..chunk + need as u32 {
            // A free chunk whose summary bit is off is being given back at this moment.
            let free = self.window().chunk(n).kind() == Kind::Free
                && self.window().group(n / 64).free.load(Relaxed) & group_bit(n) != 0;
            if !free {
                return false;
            }
        }
        for n in chunk + chunks as u32..chunk + need as u32 {
            self.mark_free(n, false);
            self.window().chunk(n).set_kind(Kind::Body);
        }
        record.extent_chunks.store(need.max(chunks) as u32, Relaxed);
        record.extent_bytes.store(bytes, Relaxed);
        self.occupy_extent(chunk, have, bytes);
        true
    }
}
