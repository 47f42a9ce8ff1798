//! `/proc/PID/smaps_rollup` (since Linux 4.14): the sums of smaps. Costs milliseconds per GiB.

use super::lines;

macro_rules! rollup {
    ($($field:ident $key:literal;)*) => {
        /// The sums, in bytes. Lines that a kernel does not write are `None`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each field is the line of the same name")]
        pub struct SmapsRollup {
            $(pub $field: Option<u64>,)*
            /// Lines whose key is none of the above or whose value has another form, without the header.
            pub unknown_lines: usize,
        }

        impl SmapsRollup {
            fn field(&mut self, key: &[u8]) -> Option<&mut Option<u64>> {
                $(if key == $key.as_bytes() { return Some(&mut self.$field); })*
                None
            }

            /// Every sum that is there, by its key, in the order of the file.
            pub fn sizes(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($key, self.$field)),*].into_iter().filter_map(|(key, size)| Some((key, size?)))
            }
        }
    };
}

rollup! {
    rss_bytes "Rss";
    pss_bytes "Pss";
    pss_dirty_bytes "Pss_Dirty";
    pss_anon_bytes "Pss_Anon";
    pss_file_bytes "Pss_File";
    pss_shmem_bytes "Pss_Shmem";
    shared_clean_bytes "Shared_Clean";
    shared_dirty_bytes "Shared_Dirty";
    private_clean_bytes "Private_Clean";
    private_dirty_bytes "Private_Dirty";
    referenced_bytes "Referenced";
    anonymous_bytes "Anonymous";
    ksm_bytes "KSM";
    lazy_free_bytes "LazyFree";
    anon_huge_pages_bytes "AnonHugePages";
    shmem_pmd_mapped_bytes "ShmemPmdMapped";
    file_pmd_mapped_bytes "FilePmdMapped";
    shared_hugetlb_bytes "Shared_Hugetlb";
    private_hugetlb_bytes "Private_Hugetlb";
    swap_bytes "Swap";
    swap_pss_bytes "SwapPss";
    locked_bytes "Locked";
}

impl SmapsRollup {
    /// Reads what lines there are.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> SmapsRollup {
        let mut sums = SmapsRollup::default();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            if !line.ends_with(b"[rollup]") {
                sums.unknown_lines += usize::from(sums.take(line).is_none());
            }
        }
        sums
    }

    fn take(&mut self, line: &[u8]) -> Option<()> {
        let (key, value) = lines::key_value(line)?;
        *self.field(key)? = Some(lines::kilobytes(value)?);
        Some(())
    }

    /// Memory that would be free if the process ended: private pages, clean and dirty (USS).
    #[must_use]
    pub fn unique_bytes(&self) -> Option<u64> {
        self.private_clean_bytes?.checked_add(self.private_dirty_bytes?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &[u8] = include_bytes!("../../tests/fixtures/linux-6.18/proc/4712/smaps_rollup");
    const MIDDLE: &[u8] = include_bytes!("../../tests/fixtures/linux-5.10/proc/900/smaps_rollup");
    /// Linux 4.14: no split of Pss, which came with 5.3.
    const OLD: &[u8] = b"00400000-7fff4c21b000 ---p 00000000 00:00 0 [rollup]\nRss:                 884 kB\nPss:                 385 kB\nShared_Clean:        696 kB\nPrivate_Clean:       120 kB\nPrivate_Dirty:        68 kB\n";

    #[test]
    fn sums_come_out_in_bytes() {
        let sums = SmapsRollup::parse(NEW);
        assert_eq!(sums.unknown_lines, 0);
        assert_eq!(sums.sizes().count(), 22, "every line that 6.18 writes");
        assert_eq!(sums.rss_bytes, Some(1840 << 10));
        assert_eq!(sums.unique_bytes(), Some(108 << 10));
    }

    #[test]
    fn an_older_kernel_has_neither_dirty_pss_nor_ksm() {
        let sums = SmapsRollup::parse(MIDDLE);
        assert_eq!((sums.pss_dirty_bytes, sums.ksm_bytes), (None, None));
        assert_eq!((sums.pss_shmem_bytes, sums.unknown_lines), (Some(5 << 20), 0));
    }

    #[test]
    fn lines_of_another_form_are_counted_and_have_no_value() {
        let sums = SmapsRollup::parse(b"Rss: 1 MB\nNews: 3 kB\nPss:\nSwap: 4 kB\nrubbish\n");
        assert_eq!(
            (sums.rss_bytes, sums.pss_bytes, sums.unknown_lines),
            (None, None, 4)
        );
        assert_eq!(sums.swap_bytes, Some(4096));
    }

    #[test]
    fn an_old_kernel_has_no_split_of_pss() {
        let sums = SmapsRollup::parse(OLD);
        assert_eq!((sums.pss_bytes, sums.pss_anon_bytes), (Some(385 << 10), None));
    }

    #[test]
    fn an_empty_file_is_all_none() {
        assert_eq!(SmapsRollup::parse(b""), SmapsRollup::default());
    }
}
