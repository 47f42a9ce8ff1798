//! `/proc/PID/smaps_rollup` (since Linux 4.14): the sums of smaps. Costs milliseconds per GiB.

use super::lines;

/// The sums, in bytes. Lines that a kernel does not write are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the line of the same name")]
pub struct SmapsRollup {
    pub rss_bytes: Option<u64>,
    pub pss_bytes: Option<u64>,
    pub pss_dirty_bytes: Option<u64>,
    pub pss_anon_bytes: Option<u64>,
    pub pss_file_bytes: Option<u64>,
    pub pss_shmem_bytes: Option<u64>,
    pub shared_clean_bytes: Option<u64>,
    pub shared_dirty_bytes: Option<u64>,
    pub private_clean_bytes: Option<u64>,
    pub private_dirty_bytes: Option<u64>,
    pub referenced_bytes: Option<u64>,
    pub anonymous_bytes: Option<u64>,
    pub lazy_free_bytes: Option<u64>,
    pub anon_huge_pages_bytes: Option<u64>,
    pub swap_bytes: Option<u64>,
    pub swap_pss_bytes: Option<u64>,
    pub locked_bytes: Option<u64>,
    /// Lines whose key is none of the above; the header line is not counted.
    pub unknown_lines: usize,
}

impl SmapsRollup {
    /// Reads what lines there are.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> SmapsRollup {
        let mut sums = SmapsRollup::default();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            if line.ends_with(b"[rollup]") {
                continue;
            }
            let field = lines::key_value(line).and_then(|(key, value)| Some((sums.field(key)?, value)));
            match field {
                Some((field, value)) => *field = lines::kilobytes(value),
                None => sums.unknown_lines += 1,
            }
        }
        sums
    }

    /// Memory that would be free if the process ended: private pages, clean and dirty (USS).
    #[must_use]
    pub fn unique_bytes(&self) -> Option<u64> {
        self.private_clean_bytes?.checked_add(self.private_dirty_bytes?)
    }

    fn field(&mut self, key: &[u8]) -> Option<&mut Option<u64>> {
        Some(match key {
            b"Rss" => &mut self.rss_bytes,
            b"Pss" => &mut self.pss_bytes,
            b"Pss_Dirty" => &mut self.pss_dirty_bytes,
            b"Pss_Anon" => &mut self.pss_anon_bytes,
            b"Pss_File" => &mut self.pss_file_bytes,
            b"Pss_Shmem" => &mut self.pss_shmem_bytes,
            b"Shared_Clean" => &mut self.shared_clean_bytes,
            b"Shared_Dirty" => &mut self.shared_dirty_bytes,
            b"Private_Clean" => &mut self.private_clean_bytes,
            b"Private_Dirty" => &mut self.private_dirty_bytes,
            b"Referenced" => &mut self.referenced_bytes,
            b"Anonymous" => &mut self.anonymous_bytes,
            b"LazyFree" => &mut self.lazy_free_bytes,
            b"AnonHugePages" => &mut self.anon_huge_pages_bytes,
            b"Swap" => &mut self.swap_bytes,
            b"SwapPss" => &mut self.swap_pss_bytes,
            b"Locked" => &mut self.locked_bytes,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux 6.18.
    const NEW: &[u8] = b"55d0c6e00000-7ffd0b5f4000 ---p 00000000 00:00 0                          [rollup]\nRss:                1728 kB\nPss:                 218 kB\nPss_Dirty:            96 kB\nPss_Anon:             96 kB\nPss_File:            122 kB\nPss_Shmem:             0 kB\nShared_Clean:       1596 kB\nShared_Dirty:          0 kB\nPrivate_Clean:        36 kB\nPrivate_Dirty:        96 kB\nReferenced:         1728 kB\nAnonymous:            96 kB\nKSM:                   0 kB\nLazyFree:              0 kB\nAnonHugePages:         0 kB\nSwap:                  0 kB\nSwapPss:               0 kB\nLocked:                0 kB\n";
    /// Linux 4.14: no split of Pss.
    const OLD: &[u8] = b"00400000-7fff4c21b000 ---p 00000000 00:00 0 [rollup]\nRss:                 884 kB\nPss:                 385 kB\nShared_Clean:        696 kB\nPrivate_Clean:       120 kB\nPrivate_Dirty:        68 kB\n";

    #[test]
    fn sums_come_out_in_bytes() {
        let sums = SmapsRollup::parse(NEW);
        assert_eq!(
            (sums.rss_bytes, sums.pss_bytes),
            (Some(1728 << 10), Some(218 << 10))
        );
        assert_eq!(sums.unique_bytes(), Some(132 << 10));
        assert_eq!(sums.unknown_lines, 1, "KSM");
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
