//! The sizes of an smaps entry: which lines there are, and a compact set of them.
//!
//! [`Sizes`] owns the difference between a line that says 0 and one that the kernel does not write: a line
//! that was not there has no value. A process may have tens of thousands of mappings, so a set is an array
//! and a mask instead of an `Option` for each line. Sums over mappings keep to that: a line that no mapping
//! has is in no sum. Sources: proc_pid_smaps(5), Documentation/filesystems/proc.rst.

use core::ops::AddAssign;

macro_rules! fields {
    ($($(#[$doc:meta])* $field:ident $key:literal;)*) => {
        /// A line of an smaps entry whose value is a size.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum SmapsField { $($(#[$doc])* $field,)* }

        impl SmapsField {
            /// All, in the order in which Linux 6.18 writes them.
            pub const ALL: [SmapsField; [$($key),*].len()] = [$(SmapsField::$field),*];

            /// The line's key, without the colon.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self { $(SmapsField::$field => $key,)* }
            }
        }
    };
}

fields! {
    /// Length of the mapping.
    Size "Size";
    /// The kernel's page (2.6.29).
    KernelPageSize "KernelPageSize";
    /// The processor's page, as far as the kernel knows it (2.6.29).
    MmuPageSize "MMUPageSize";
    /// In memory.
    Rss "Rss";
    /// In memory, each page divided by the number of processes that have it.
    Pss "Pss";
    /// The part of Pss that is dirty (6.0).
    PssDirty "Pss_Dirty";
    /// The part of Pss that is anonymous: only in smaps_rollup (5.3).
    PssAnon "Pss_Anon";
    /// The part of Pss that is of files: only in smaps_rollup (5.3).
    PssFile "Pss_File";
    /// The part of Pss that is shared memory: only in smaps_rollup (5.3).
    PssShmem "Pss_Shmem";
    /// In memory, in several processes, unchanged.
    SharedClean "Shared_Clean";
    /// In memory, in several processes, changed.
    SharedDirty "Shared_Dirty";
    /// In memory, only here, unchanged.
    PrivateClean "Private_Clean";
    /// In memory, only here, changed.
    PrivateDirty "Private_Dirty";
    /// In memory and used since the bits were cleared (2.6.22).
    Referenced "Referenced";
    /// In memory and of no file, also copies of a private file's pages (2.6.34).
    Anonymous "Anonymous";
    /// Merged by KSM, without zero pages (6.7).
    Ksm "KSM";
    /// Given to MADV_FREE and not taken yet (4.12).
    LazyFree "LazyFree";
    /// In huge pages, anonymous (2.6.38).
    AnonHugePages "AnonHugePages";
    /// In huge pages, shared memory (4.8).
    ShmemPmdMapped "ShmemPmdMapped";
    /// In huge pages, of files (5.4).
    FilePmdMapped "FilePmdMapped";
    /// In hugetlbfs pages that several processes have (4.4); not part of Rss.
    SharedHugetlb "Shared_Hugetlb";
    /// In hugetlbfs pages that only this process has (4.4); not part of Rss.
    PrivateHugetlb "Private_Hugetlb";
    /// In swap (2.6.26).
    Swap "Swap";
    /// In swap, each page divided by the number of processes that have it (4.3).
    SwapPss "SwapPss";
    /// Locked by mlock(2), as Pss (2.6.33).
    Locked "Locked";
}

const COUNT: usize = SmapsField::ALL.len();

/// Longest key with its colon, and room for the blanks behind it: the kernel pads to this column.
const COLUMN: usize = 16;

const fn columns() -> [[u8; COLUMN]; COUNT] {
    let mut all = [[b' '; COLUMN]; COUNT];
    let mut field = 0;
    while field < COUNT {
        let key = SmapsField::ALL[field].key().as_bytes();
        let mut at = 0;
        while at < key.len() {
            all[field][at] = key[at];
            at += 1;
        }
        all[field][at] = b':';
        field += 1;
    }
    all
}

static COLUMNS: [[u8; COLUMN]; COUNT] = columns();

impl SmapsField {
    /// The field whose key is `key`.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Option<SmapsField> {
        SmapsField::ALL
            .into_iter()
            .find(|field| field.key().as_bytes() == key)
    }

    /// What follows the key's column when `line` starts as the kernel writes this field.
    pub(super) fn value_in(self, line: &[u8]) -> Option<&[u8]> {
        line.strip_prefix(COLUMNS.get(self as usize)?)
    }

    /// The field after this one.
    pub(super) fn following(self) -> Option<SmapsField> {
        SmapsField::ALL.get(self as usize + 1).copied()
    }
}

/// Values of some of the fields, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Bit n: field n is there. The values of the others are 0.
    mask: u32,
    values: [u64; COUNT],
}

const _: () = assert!(COUNT <= 32, "the mask has a bit for each field");

impl Sizes {
    /// The size in bytes; `None` when there was no such line.
    #[must_use]
    pub fn get(&self, field: SmapsField) -> Option<u64> {
        let there = self.mask >> (field as u32) & 1 == 1;
        self.values.get(field as usize).copied().filter(|_| there)
    }

    /// Sets the size of a field.
    pub fn set(&mut self, field: SmapsField, bytes: u64) {
        if let Some(value) = self.values.get_mut(field as usize) {
            *value = bytes;
            self.mask |= 1 << (field as u32);
        }
    }

    /// The fields that are there, with their sizes.
    pub fn iter(&self) -> impl Iterator<Item = (SmapsField, u64)> {
        SmapsField::ALL
            .into_iter()
            .filter_map(|field| Some((field, self.get(field)?)))
    }

    /// Memory that only this process has: Private_Clean + Private_Dirty, which is USS as smem counts.
    /// Pages of hugetlbfs are not in it.
    #[must_use]
    pub fn unique_bytes(&self) -> Option<u64> {
        let clean = self.get(SmapsField::PrivateClean)?;
        clean.checked_add(self.get(SmapsField::PrivateDirty)?)
    }

    /// What differs from its file or has none: Shared_Dirty + Private_Dirty, pmap's column Dirty.
    #[must_use]
    pub fn dirty_bytes(&self) -> Option<u64> {
        let shared = self.get(SmapsField::SharedDirty)?;
        shared.checked_add(self.get(SmapsField::PrivateDirty)?)
    }
}

impl AddAssign<&Sizes> for Sizes {
    /// Field by field; a sum stops at the largest number. The sum of two sizes of a page means nothing: of
    /// those fields the larger stays.
    fn add_assign(&mut self, other: &Sizes) {
        for (field, bytes) in other.iter() {
            let own = self.get(field).unwrap_or(0);
            let both = match field {
                SmapsField::KernelPageSize | SmapsField::MmuPageSize => own.max(bytes),
                _ => own.saturating_add(bytes),
            };
            self.set(field, both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_not_zero() {
        let mut sizes = Sizes::default();
        assert_eq!(sizes.get(SmapsField::Rss), None);
        sizes.set(SmapsField::Rss, 0);
        assert_eq!(sizes.get(SmapsField::Rss), Some(0));
        assert_eq!((sizes.unique_bytes(), sizes.dirty_bytes()), (None, None));
    }

    #[test]
    fn every_field_is_found_by_its_key_and_its_column() {
        for field in SmapsField::ALL {
            assert_eq!(SmapsField::from_key(field.key().as_bytes()), Some(field));
            let line = format!("{:<16}{:>8} kB", format!("{}:", field.key()), 7);
            assert_eq!(field.value_in(line.as_bytes()), Some(&b"       7 kB"[..]));
        }
        assert_eq!(SmapsField::Locked.following(), None);
    }

    #[test]
    fn sums_hold_what_any_has_and_do_not_wrap() {
        let (mut sum, mut one) = (Sizes::default(), Sizes::default());
        one.set(SmapsField::Rss, u64::MAX - 1);
        one.set(SmapsField::KernelPageSize, 4096);
        sum += &one;
        sum += &one;
        assert_eq!(sum.get(SmapsField::Rss), Some(u64::MAX));
        assert_eq!(sum.get(SmapsField::KernelPageSize), Some(4096));
        assert_eq!(sum.get(SmapsField::Swap), None);
    }
}
