//! `/proc/PID/pagemap`: a word for each page, decoded by [`Word`], and counts over them.
//!
//! Frames and swap slots are shown with CAP_SYS_ADMIN only: without, a count of denied frames says so.
//! Source: Documentation/admin-guide/mm/pagemap.rst.

pub use neap_os::pagemap::{Frame, Word};

/// Where a page is in swap, or what stands in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapSlot {
    /// The kernel keeps it from those without CAP_SYS_ADMIN. Slot 0 holds the area's heading and no page.
    Denied,
    /// In a slot of an area. Kinds above the last area are pages on the move, or poisoned.
    At {
        /// The area, counted from 0, or a kind of the kernel's.
        kind: u8,
        /// Pages into it.
        offset: u64,
    },
}

/// The slot of a swapped page; `None` for a page that is not.
#[must_use]
pub fn swap_slot(word: Word) -> Option<SwapSlot> {
    let bits = word.bits() & ((1 << 55) - 1);
    word.is_swapped().then_some(match bits {
        0 => SwapSlot::Denied,
        bits => SwapSlot::At {
            kind: (bits & 31) as u8,
            offset: bits >> 5,
        },
    })
}

/// The words of a piece of the file; what is left of a word cut at the end is dropped.
pub fn pagemap_words(bytes: &[u8]) -> impl Iterator<Item = Word> {
    let words = bytes.chunks_exact(8).filter_map(|word| word.first_chunk());
    words.map(|word| Word::from_bits(u64::from_ne_bytes(*word)))
}

/// How many pages are in which state. A page may be in several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageCounts {
    /// All that were looked at.
    pub pages: u64,
    /// In memory.
    pub present: u64,
    /// In swap.
    pub swapped: u64,
    /// Guards (6.15; before they count as swapped).
    pub guards: u64,
    /// Of a file or shared memory.
    pub file_or_shared: u64,
    /// Only in this process (4.2).
    pub exclusive: u64,
    /// Written since the bits were cleared (CONFIG_MEM_SOFT_DIRTY).
    pub soft_dirty: u64,
    /// Write-protected by userfaultfd (5.13).
    pub write_protected: u64,
    /// Present, with a frame that is kept from this user.
    pub frames_denied: u64,
}

impl PageCounts {
    /// Counts one more page.
    pub fn add(&mut self, word: Word) {
        self.pages += 1;
        self.present += u64::from(word.is_present());
        self.swapped += u64::from(word.is_swapped());
        self.guards += u64::from(word.is_guard());
        self.file_or_shared += u64::from(word.is_file_or_shared());
        self.exclusive += u64::from(word.is_exclusive());
        self.soft_dirty += u64::from(word.is_soft_dirty());
        self.write_protected += u64::from(word.is_write_protected());
        self.frames_denied += u64::from(word.frame() == Frame::Denied);
    }
}

impl FromIterator<Word> for PageCounts {
    fn from_iter<I: IntoIterator<Item = Word>>(words: I) -> PageCounts {
        let mut counts = PageCounts::default();
        words.into_iter().for_each(|word| counts.add(word));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(bits: &[u64]) -> Vec<u8> {
        bits.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn states_are_counted() {
        let bytes = words(&[
            0,
            1 << 63 | 1 << 56 | 0x123,
            1 << 63 | 1 << 61,
            1 << 62 | 1 << 58,
            1 << 62 | 1 << 55,
        ]);
        let counts: PageCounts = pagemap_words(&bytes).collect();
        let wanted = PageCounts {
            pages: 5,
            present: 2,
            swapped: 1,
            guards: 1,
            file_or_shared: 1,
            exclusive: 1,
            soft_dirty: 1,
            write_protected: 0,
            frames_denied: 1,
        };
        assert_eq!(counts, wanted);
    }

    #[test]
    fn a_slot_is_an_area_and_an_offset_or_denied() {
        let slot = |bits| swap_slot(Word::from_bits(bits));
        assert_eq!(
            slot(1 << 62 | 77 << 5 | 2),
            Some(SwapSlot::At { kind: 2, offset: 77 })
        );
        assert_eq!(slot(1 << 62), Some(SwapSlot::Denied));
        assert_eq!((slot(1 << 63 | 5), slot(1 << 62 | 1 << 58)), (None, None));
    }
}
