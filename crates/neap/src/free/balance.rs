//! Where the machine's memory is: parts that do not overlap, and what is left of MemTotal without them.
//!
//! Each part is one line of `/proc/meminfo`, or the difference of two where one holds the other. What several
//! lines count, or no line counts, is the residual: it may be below zero. In no line, and so in the residual,
//! are pages on the lists that each CPU keeps free, what drivers took by the page, and swap cache that nobody
//! maps. A line this kernel does not write is no part: its memory, if any, is in the residual.
//! Source: proc_meminfo(5), fs/proc/meminfo.c, mm/vmstat.c.

use neap_proc::parse::{Counters, Meminfo};
use serde::Serialize;

/// How a part comes back when memory is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    /// It is free now.
    Free,
    /// The kernel takes it back by itself; what is dirty is written first.
    Reclaimed,
    /// It goes to swap, or when its owner ends.
    SwapOrEnd,
    /// It stays until whoever asked for it gives it back.
    Held,
}

/// One part of the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) bytes: u64,
    pub(crate) comes_back: Way,
    /// Who holds it, and where to look further.
    pub(crate) what: &'static str,
    /// The lines it is made of.
    pub(crate) source: &'static str,
}

/// The parts, and what they leave over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Balance {
    pub(crate) total_bytes: u64,
    pub(crate) parts: Vec<Part>,
    /// total_bytes without all parts; below zero where lines count the same pages.
    pub(crate) residual_bytes: i64,
}

impl Balance {
    /// `None` without MemTotal.
    pub(crate) fn of(info: &Meminfo, vmstat: Option<&Counters>, page_bytes: u64) -> Option<Balance> {
        let total_bytes = info.total_bytes?;
        let mut parts = Vec::new();
        let mut part = |name, bytes: Option<u64>, comes_back, source, what| {
            if let Some(bytes) = bytes {
                parts.push(Part {
                    name,
                    bytes,
                    comes_back,
                    what,
                    source,
                });
            }
        };
        part("free", info.free_bytes, Way::Free, "MemFree", "nobody's");
        part(
            "programs",
            info.anon_pages_bytes,
            Way::SwapOrEnd,
            "AnonPages",
            "heaps, stacks of processes: neap top",
        );
        part(
            "tmpfs, shared",
            info.shmem_bytes,
            Way::SwapOrEnd,
            "Shmem",
            "tmpfs, shared memory: df -t tmpfs",
        );
        part(
            "file cache",
            less(info.cached_bytes, info.shmem_bytes),
            Way::Reclaimed,
            "Cached - Shmem",
            "contents of files: neap file status",
        );
        part(
            "buffers",
            info.buffers_bytes,
            Way::Reclaimed,
            "Buffers",
            "metadata of file systems",
        );
        kernel(info, &mut part);
        devices(info, &mut part);
        huge_and_compressed(info, vmstat, page_bytes, &mut part);
        let sum = parts.iter().map(|part| i128::from(part.bytes)).sum::<i128>();
        let residual_bytes = i64::try_from(i128::from(total_bytes) - sum).unwrap_or(i64::MIN);
        Some(Balance {
            total_bytes,
            parts,
            residual_bytes,
        })
    }

    /// The parts that hold the most of what is neither free nor taken back by the kernel, the largest first.
    pub(crate) fn holders(&self) -> Vec<&Part> {
        let mut holders: Vec<&Part> = self
            .parts
            .iter()
            .filter(|part| matches!(part.comes_back, Way::SwapOrEnd | Way::Held) && part.bytes > 0)
            .collect();
        holders.sort_by_key(|part| std::cmp::Reverse(part.bytes));
        holders
    }
}

/// The kernel's own.
fn kernel(info: &Meminfo, part: &mut impl FnMut(&'static str, Option<u64>, Way, &'static str, &'static str)) {
    part(
        "slab, reclaimable",
        info.slab_reclaimable_bytes,
        Way::Reclaimed,
        "SReclaimable",
        "names and inodes of files: slabtop",
    );
    part(
        "other reclaimable",
        less(info.kreclaimable_bytes, info.slab_reclaimable_bytes),
        Way::Reclaimed,
        "KReclaimable - SReclaimable",
        "the kernel's, given back on request",
    );
    part(
        "slab, fixed",
        info.slab_unreclaimable_bytes,
        Way::Held,
        "SUnreclaim",
        "the kernel's small objects: slabtop",
    );
    part(
        "kernel stacks",
        info.kernel_stack_bytes,
        Way::Held,
        "KernelStack",
        "of each thread",
    );
    part(
        "page tables",
        info.page_tables_bytes,
        Way::Held,
        "PageTables",
        "of processes: VmPTE in /proc/PID/status",
    );
    part(
        "other page tables",
        info.secondary_page_tables_bytes,
        Way::Held,
        "SecPageTables",
        "of virtual machines and devices",
    );
    // Kernel stacks lie in vmalloc's area (CONFIG_VMAP_STACK). Before 4.20 the kernel writes 0.
    part(
        "vmalloc",
        less(info.vmalloc_used_bytes, info.kernel_stack_bytes),
        Way::Held,
        "VmallocUsed - KernelStack",
        "large pieces, modules: /proc/vmallocinfo",
    );
    part(
        "per-CPU",
        info.per_cpu_bytes,
        Way::Held,
        "Percpu",
        "the kernel's data for each CPU",
    );
}

/// What few machines have: of devices, hosts and drivers.
fn devices(
    info: &Meminfo,
    part: &mut impl FnMut(&'static str, Option<u64>, Way, &'static str, &'static str),
) {
    part(
        "bounce buffers",
        info.bounce_bytes,
        Way::Held,
        "Bounce",
        "for devices that reach not all memory",
    );
    part(
        "write-back copies",
        info.writeback_temporary_bytes,
        Way::Held,
        "WritebackTmp",
        "of FUSE",
    );
    part(
        "GPU",
        info.gpu_active_bytes,
        Way::Held,
        "GPUActive",
        "of graphics drivers",
    );
    part(
        "GPU, cached",
        info.gpu_reclaim_bytes,
        Way::Reclaimed,
        "GPUReclaim",
        "of graphics drivers",
    );
    part(
        "balloon",
        info.balloon_bytes,
        Way::Held,
        "Balloon",
        "given to the host of this machine",
    );
    part(
        "not accepted yet",
        info.unaccepted_bytes,
        Way::Held,
        "Unaccepted",
        "of a confidential machine",
    );
    part(
        "broken",
        info.hardware_corrupted_bytes,
        Way::Held,
        "HardwareCorrupted",
        "pages that failed",
    );
}

/// Pools of huge pages, and what is compressed.
fn huge_and_compressed(
    info: &Meminfo,
    vmstat: Option<&Counters>,
    page_bytes: u64,
    part: &mut impl FnMut(&'static str, Option<u64>, Way, &'static str, &'static str),
) {
    // Hugetlb is of all sizes; before 4.20 there is only the count of the default one.
    let of_default_size = info
        .huge_pages_total
        .zip(info.huge_page_size_bytes)
        .and_then(|(pages, size)| pages.checked_mul(size));
    part(
        "hugetlb pools",
        info.hugetlb_bytes.or(of_default_size),
        Way::Held,
        "Hugetlb",
        "set aside, used or not: vm.nr_hugepages",
    );
    let compressed = vmstat.and_then(|vmstat| vmstat.get("nr_zspages"));
    part(
        "compressed",
        compressed.and_then(|pages| pages.checked_mul(page_bytes)),
        Way::Held,
        "vmstat nr_zspages",
        "what zram and zswap hold: zramctl",
    );
}

/// `whole` without `inner`; none where the first is smaller, for then they are no whole and part.
fn less(whole: Option<u64>, inner: Option<u64>) -> Option<u64> {
    whole?.checked_sub(inner?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(balance: &Balance) -> i128 {
        let parts: i128 = balance.parts.iter().map(|part| i128::from(part.bytes)).sum();
        parts + i128::from(balance.residual_bytes)
    }

    #[test]
    fn parts_and_residual_are_the_whole_of_every_kernel() {
        for (text, residual_kb) in [
            (
                &include_bytes!("../../../proc/tests/fixtures/linux-6.18/proc/meminfo")[..],
                834_344,
            ),
            (
                &include_bytes!("../../../proc/tests/fixtures/linux-6.1/proc/meminfo")[..],
                0,
            ),
            (
                &include_bytes!("../../../proc/tests/fixtures/linux-5.10/proc/meminfo")[..],
                0,
            ),
            (
                &include_bytes!("../../../proc/tests/fixtures/linux-4.4/proc/meminfo")[..],
                0,
            ),
        ] {
            let info = Meminfo::parse(text);
            let balance = Balance::of(&info, None, 4096).unwrap();
            assert_eq!(sum(&balance), i128::from(info.total_bytes.unwrap()));
            if residual_kb != 0 {
                assert_eq!(balance.residual_bytes, residual_kb << 10);
            }
        }
    }

    #[test]
    fn parts_that_hold_more_than_all_leave_less_than_nothing() {
        let info = Meminfo::parse(b"MemTotal: 10 kB\nMemFree: 8 kB\nAnonPages: 4 kB\n");
        let balance = Balance::of(&info, None, 4096).unwrap();
        assert_eq!(balance.residual_bytes, -2048);
        assert_eq!(Balance::of(&Meminfo::default(), None, 4096), None);
    }

    #[test]
    fn compressed_memory_is_counted_in_pages_of_the_machine() {
        let info = Meminfo::parse(b"MemTotal: 100 kB\n");
        let vmstat = Counters::parse(b"nr_zspages 3\n");
        let balance = Balance::of(&info, Some(&vmstat), 16_384).unwrap();
        assert_eq!(
            (balance.parts[0].name, balance.parts[0].bytes),
            ("compressed", 49_152)
        );
    }
}
