//! Huge pages: transparent ones, and pools of hugetlbfs.

use neap_proc::Reading;
use neap_proc::parse::{Choice, Meminfo};
use neap_proc::read::Host;
use serde::Serialize;

use super::gather::Gather;

/// Transparent huge pages: settings, what there is, what became of requests since the machine started.
#[derive(Debug, Serialize)]
pub(crate) struct Transparent {
    pub(crate) enabled: Option<String>,
    pub(crate) defrag: Option<String>,
    pub(crate) shmem_enabled: Option<String>,
    pub(crate) page_bytes: Option<u64>,
    pub(crate) anonymous_bytes: Option<u64>,
    pub(crate) shmem_bytes: Option<u64>,
    pub(crate) file_bytes: Option<u64>,
    pub(crate) faults: Option<u64>,
    pub(crate) faults_without: Option<u64>,
    pub(crate) pages_split: Option<u64>,
    pub(crate) mappings_split: Option<u64>,
    pub(crate) splits_deferred: Option<u64>,
    pub(crate) swapped_whole: Option<u64>,
    pub(crate) zero_pages: Option<u64>,
    pub(crate) khugepaged_collapsed: Option<u64>,
    pub(crate) khugepaged_failed: Option<u64>,
    pub(crate) khugepaged_full_scans: Option<u64>,
    pub(crate) sizes: Option<Vec<Size>>,
}

/// One size (6.8), with its counters (6.10).
#[derive(Debug, Serialize)]
pub(crate) struct Size {
    pub(crate) page_bytes: u64,
    pub(crate) enabled: Option<String>,
    pub(crate) anonymous_bytes: Option<u64>,
    pub(crate) faults: Option<u64>,
    pub(crate) faults_without: Option<u64>,
    pub(crate) pages_split: Option<u64>,
}

pub(super) fn transparent(host: &Host, info: &Meminfo, gather: &mut Gather) -> Option<Transparent> {
    let settings = gather.take("thp", host.huge_page_settings())?;
    let vmstat = host.vmstat();
    let mut word = |field: &str, choice: Reading<Choice>| {
        gather.take(&format!("thp.{field}"), choice.map(|choice| choice.chosen))
    };
    let enabled = word("enabled", settings.enabled);
    let defrag = word("defrag", settings.defrag);
    let shmem_enabled = word("shmem_enabled", settings.shmem);
    let mut event = |field: &str, name: &str| gather.counter(&format!("thp.{field}"), &vmstat, name);
    Some(Transparent {
        enabled,
        defrag,
        shmem_enabled,
        faults: event("faults", "thp_fault_alloc"),
        faults_without: event("faults_without", "thp_fault_fallback"),
        pages_split: event("pages_split", "thp_split_page"),
        mappings_split: event("mappings_split", "thp_split_pmd"),
        splits_deferred: event("splits_deferred", "thp_deferred_split_page"),
        swapped_whole: event("swapped_whole", "thp_swpout"),
        zero_pages: event("zero_pages", "thp_zero_page_alloc"),
        khugepaged_failed: event("khugepaged_failed", "thp_collapse_alloc_failed"),
        page_bytes: gather.take("thp.page_bytes", settings.size_bytes),
        anonymous_bytes: gather.take("thp.anonymous_bytes", info.anon_huge_pages_bytes.into()),
        shmem_bytes: gather.take("thp.shmem_bytes", info.shmem_huge_pages_bytes.into()),
        file_bytes: gather.take("thp.file_bytes", info.file_huge_pages_bytes.into()),
        khugepaged_collapsed: gather.take("thp.khugepaged_collapsed", settings.collapsed),
        khugepaged_full_scans: gather.take(
            "thp.khugepaged_full_scans",
            host.number("/sys/kernel/mm/transparent_hugepage/khugepaged/full_scans"),
        ),
        sizes: gather.take("thp.sizes", settings.sizes).map(|sizes| {
            let each = sizes.into_iter().enumerate().map(|(index, size)| {
                let path = |field: &str| format!("thp.sizes[{index}].{field}");
                let mut count = |field: &str, name: &str| gather.counter(&path(field), &size.counters, name);
                let pages = count("anonymous_bytes", "nr_anon");
                Size {
                    page_bytes: size.bytes,
                    faults: count("faults", "anon_fault_alloc"),
                    faults_without: count("faults_without", "anon_fault_fallback"),
                    pages_split: count("pages_split", "split"),
                    anonymous_bytes: pages.map(|pages| pages.saturating_mul(size.bytes)),
                    enabled: gather.take(&path("enabled"), size.enabled.map(|choice| choice.chosen)),
                }
            });
            each.collect()
        }),
    })
}

/// Huge pages set aside.
#[derive(Debug, Serialize)]
pub(crate) struct Pool {
    pub(crate) page_bytes: u64,
    pub(crate) pages: Option<u64>,
    pub(crate) free_pages: Option<u64>,
    /// Promised and not yet given.
    pub(crate) reserved_pages: Option<u64>,
    /// Above what was asked for.
    pub(crate) surplus_pages: Option<u64>,
}

pub(super) fn pools(host: &Host, gather: &mut Gather) -> Option<Vec<Pool>> {
    let pools = gather.take("hugetlb", host.huge_pools())?;
    let each = pools.into_iter().enumerate().map(|(index, pool)| {
        let mut number = |field: &str, reading| gather.take(&format!("hugetlb[{index}].{field}"), reading);
        Pool {
            page_bytes: pool.page_bytes,
            pages: number("pages", pool.pages),
            free_pages: number("free_pages", pool.free),
            reserved_pages: number("reserved_pages", pool.reserved),
            surplus_pages: number("surplus_pages", pool.surplus),
        }
    });
    Some(each.collect())
}
