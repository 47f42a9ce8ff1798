//! `/proc/meminfo`: where the machine's memory is.
//!
//! Every line is an `Option`: which there are depends on version and build. Lines in kB come out in bytes;
//! the four counts of huge pages stay counts of pages of `huge_page_size_bytes`. What `free` prints is
//! computed as procps 4.0.1 and later do. Source: proc_meminfo(5).

use super::lines;

macro_rules! meminfo {
    ($($field:ident $key:literal;)*) => {
        /// The lines in kB, in bytes, and the counts of huge pages.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each field is the line of the same name")]
        pub struct Meminfo {
            $(pub $field: Option<u64>,)*
            /// HugePages_Total: pages, not bytes.
            pub huge_pages_total: Option<u64>,
            /// HugePages_Free: pages, not bytes.
            pub huge_pages_free: Option<u64>,
            /// HugePages_Rsvd: pages, not bytes.
            pub huge_pages_reserved: Option<u64>,
            /// HugePages_Surp: pages, not bytes.
            pub huge_pages_surplus: Option<u64>,
            /// Lines whose key is none of the above or whose value has another form.
            pub unknown_lines: usize,
        }

        impl Meminfo {
            fn size(&mut self, key: &[u8]) -> Option<&mut Option<u64>> {
                $(if key == $key.as_bytes() { return Some(&mut self.$field); })*
                None
            }

            /// Every size that is there, by its key.
            pub fn sizes(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($key, self.$field)),*].into_iter().filter_map(|(key, size)| Some((key, size?)))
            }
        }
    };
}

meminfo! {
    total_bytes "MemTotal";
    free_bytes "MemFree";
    available_bytes "MemAvailable";
    buffers_bytes "Buffers";
    cached_bytes "Cached";
    swap_cached_bytes "SwapCached";
    active_bytes "Active";
    inactive_bytes "Inactive";
    active_anon_bytes "Active(anon)";
    inactive_anon_bytes "Inactive(anon)";
    active_file_bytes "Active(file)";
    inactive_file_bytes "Inactive(file)";
    unevictable_bytes "Unevictable";
    mlocked_bytes "Mlocked";
    swap_total_bytes "SwapTotal";
    swap_free_bytes "SwapFree";
    zswap_bytes "Zswap";
    zswapped_bytes "Zswapped";
    dirty_bytes "Dirty";
    writeback_bytes "Writeback";
    anon_pages_bytes "AnonPages";
    mapped_bytes "Mapped";
    shmem_bytes "Shmem";
    kreclaimable_bytes "KReclaimable";
    slab_bytes "Slab";
    slab_reclaimable_bytes "SReclaimable";
    slab_unreclaimable_bytes "SUnreclaim";
    kernel_stack_bytes "KernelStack";
    shadow_call_stack_bytes "ShadowCallStack";
    page_tables_bytes "PageTables";
    secondary_page_tables_bytes "SecPageTables";
    nfs_unstable_bytes "NFS_Unstable";
    bounce_bytes "Bounce";
    writeback_temporary_bytes "WritebackTmp";
    commit_limit_bytes "CommitLimit";
    committed_bytes "Committed_AS";
    vmalloc_total_bytes "VmallocTotal";
    vmalloc_used_bytes "VmallocUsed";
    vmalloc_chunk_bytes "VmallocChunk";
    per_cpu_bytes "Percpu";
    early_memtest_bad_bytes "EarlyMemtestBad";
    hardware_corrupted_bytes "HardwareCorrupted";
    anon_huge_pages_bytes "AnonHugePages";
    shmem_huge_pages_bytes "ShmemHugePages";
    shmem_pmd_mapped_bytes "ShmemPmdMapped";
    file_huge_pages_bytes "FileHugePages";
    file_pmd_mapped_bytes "FilePmdMapped";
    cma_total_bytes "CmaTotal";
    cma_free_bytes "CmaFree";
    unaccepted_bytes "Unaccepted";
    balloon_bytes "Balloon";
    gpu_active_bytes "GPUActive";
    gpu_reclaim_bytes "GPUReclaim";
    huge_page_size_bytes "Hugepagesize";
    hugetlb_bytes "Hugetlb";
    direct_map_4k_bytes "DirectMap4k";
    direct_map_64k_bytes "DirectMap64k";
    direct_map_1m_bytes "DirectMap1M";
    direct_map_2m_bytes "DirectMap2M";
    direct_map_4m_bytes "DirectMap4M";
    direct_map_1g_bytes "DirectMap1G";
    direct_map_2g_bytes "DirectMap2G";
}

impl Meminfo {
    /// Reads what lines there are.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Meminfo {
        let mut info = Meminfo::default();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let known = lines::key_value(line).and_then(|(key, value)| info.take(key, value));
            info.unknown_lines += usize::from(known.is_none());
        }
        info
    }

    /// Takes one line; `None` when its key is none of these or its value has another form.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let count = match key {
            b"HugePages_Total" => &mut self.huge_pages_total,
            b"HugePages_Free" => &mut self.huge_pages_free,
            b"HugePages_Rsvd" => &mut self.huge_pages_reserved,
            b"HugePages_Surp" => &mut self.huge_pages_surplus,
            _ => {
                *self.size(key)? = Some(lines::kilobytes(value)?);
                return Some(());
            }
        };
        *count = Some(lines::number(value)?);
        Some(())
    }

    /// Column `used` of free(1) since procps 4.0.1: MemTotal − MemAvailable.
    #[must_use]
    pub fn used_bytes(&self) -> Option<u64> {
        self.total_bytes?.checked_sub(self.available_bytes?)
    }

    /// Column `buff/cache` of free(1): Buffers + Cached + SReclaimable.
    #[must_use]
    pub fn cache_bytes(&self) -> Option<u64> {
        let cached = self.buffers_bytes?.checked_add(self.cached_bytes?)?;
        cached.checked_add(self.slab_reclaimable_bytes?)
    }

    /// SwapTotal − SwapFree.
    #[must_use]
    pub fn swap_used_bytes(&self) -> Option<u64> {
        self.swap_total_bytes?.checked_sub(self.swap_free_bytes?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &[u8] = include_bytes!("../../tests/fixtures/linux-6.18/proc/meminfo");
    const OLD: &[u8] = include_bytes!("../../tests/fixtures/linux-4.4/proc/meminfo");

    #[test]
    fn every_line_of_a_new_kernel_is_known() {
        let info = Meminfo::parse(NEW);
        assert_eq!(info.unknown_lines, 0);
        assert_eq!(info.total_bytes, Some(24_684_092 << 10));
        assert_eq!(info.huge_page_size_bytes, Some(2 << 20));
        assert_eq!(info.cma_total_bytes, None, "built without CMA");
        assert_eq!(info.sizes().count() + 4, NEW.split(|b| *b == b'\n').count() - 1);
    }

    #[test]
    fn columns_of_free_are_sums_of_lines() {
        let info = Meminfo::parse(OLD);
        assert_eq!(info.unknown_lines, 0);
        assert_eq!(info.used_bytes(), Some((4_045_112 - 2_811_564) << 10));
        assert_eq!(info.cache_bytes(), Some((210_988 + 2_324_272 + 335_184) << 10));
        assert_eq!(info.swap_used_bytes(), Some(3216 << 10));
        assert_eq!(
            (info.huge_pages_total, info.huge_pages_reserved),
            (Some(4), Some(1))
        );
        assert_eq!(info.kreclaimable_bytes, None, "came with 4.20");
    }

    #[test]
    fn a_line_of_another_form_is_counted_and_none() {
        let info = Meminfo::parse(b"MemTotal: 1 MB\nMemFree: 2 kB\nNews: 1 kB\n");
        assert_eq!((info.total_bytes, info.free_bytes), (None, Some(2048)));
        assert_eq!((info.unknown_lines, info.used_bytes()), (2, None));
    }
}
