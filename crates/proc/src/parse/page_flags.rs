//! `/proc/kpageflags`: what each frame of memory is used for, a word of bits for each.
//!
//! Readable with CAP_SYS_ADMIN only. Names and numbers are those of include/uapi/linux/kernel-page-flags.h
//! and Documentation/admin-guide/mm/pagemap.rst; bits from 32 on are the kernel's own and change.

/// The bits whose meaning is promised, from 0 on.
const NAMES: [&str; 27] = [
    "LOCKED",
    "ERROR",
    "REFERENCED",
    "UPTODATE",
    "DIRTY",
    "LRU",
    "ACTIVE",
    "SLAB",
    "WRITEBACK",
    "RECLAIM",
    "BUDDY",
    "MMAP",
    "ANON",
    "SWAPCACHE",
    "SWAPBACKED",
    "COMPOUND_HEAD",
    "COMPOUND_TAIL",
    "HUGE",
    "UNEVICTABLE",
    "HWPOISON",
    "NOPAGE",
    "KSM",
    "THP",
    "OFFLINE",
    "ZERO_PAGE",
    "IDLE",
    "PGTABLE",
];

/// The word of one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageFlags(pub u64);

impl PageFlags {
    /// The words of a piece of the file; what is left of a word cut at the end is dropped.
    pub fn parse(bytes: &[u8]) -> impl Iterator<Item = PageFlags> {
        let words = bytes.chunks_exact(8).filter_map(|word| word.first_chunk());
        words.map(|word| PageFlags(u64::from_ne_bytes(*word)))
    }

    /// Whether the bit of that name is set; `None` when no bit has it.
    #[must_use]
    pub fn has(self, name: &str) -> Option<bool> {
        let bit = NAMES.iter().position(|known| *known == name)?;
        Some(self.0 >> bit & 1 == 1)
    }

    /// The names of the bits that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let set = NAMES
            .into_iter()
            .enumerate()
            .filter(move |(bit, _)| self.0 >> bit & 1 == 1);
        set.map(|(_, name)| name)
    }

    /// The bits that are set and have no promised meaning.
    #[must_use]
    pub fn unknown_bits(self) -> u64 {
        self.0 >> NAMES.len() << NAMES.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_have_names() {
        let flags = PageFlags(1 << 12 | 1 << 22 | 1 << 40);
        assert_eq!(flags.names().collect::<Vec<_>>(), ["ANON", "THP"]);
        assert_eq!(
            (flags.has("ANON"), flags.has("KSM"), flags.has("X")),
            (Some(true), Some(false), None)
        );
        assert_eq!(flags.unknown_bits(), 1 << 40);
    }

    #[test]
    fn a_cut_word_is_dropped() {
        let mut bytes = (1_u64 << 26).to_ne_bytes().to_vec();
        bytes.extend([1, 2, 3]);
        let words: Vec<PageFlags> = PageFlags::parse(&bytes).collect();
        assert_eq!(words.len(), 1);
        assert_eq!(words[0].has("PGTABLE"), Some(true));
    }
}
