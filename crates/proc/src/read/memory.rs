//! The memory of the whole machine: one [`Reading`] for each file of `/proc` and `/sys`.
//!
//! Folders of numbers (KSM, huge pages) give each number its own reason: a kernel may have one file and not
//! the next, and some of `/sys` is for root only.

use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Host;
use super::host::missing;
use crate::parse::{
    BuddyInfo, Choice, Counters, GroupVersion, Meminfo, PageFlags, Pressure, Swaps, ZramMemory,
};
use crate::{Reading, Reason};

/// `/sys/kernel/mm/ksm` (2.6.32, CONFIG_KSM): identical pages kept once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ksm {
    /// `run`: 0 stopped, 1 running, 2 undoing.
    pub run: Reading<u64>,
    /// `pages_shared`: pages kept in place of others.
    pub pages_shared: Reading<u64>,
    /// `pages_sharing`: mappings of such pages beyond the first: what is saved.
    pub pages_sharing: Reading<u64>,
    /// `pages_unshared`: looked at, and alone.
    pub pages_unshared: Reading<u64>,
    /// `pages_volatile`: change too often.
    pub pages_volatile: Reading<u64>,
    /// `ksm_zero_pages` (6.6): replaced by the zero page.
    pub zero_pages: Reading<u64>,
    /// `full_scans`.
    pub full_scans: Reading<u64>,
    /// `general_profit` in bytes (6.1); below 0 when the bookkeeping costs more.
    pub profit_bytes: Reading<i64>,
}

/// Settings of transparent huge pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HugePageSettings {
    /// `enabled`.
    pub enabled: Reading<Choice>,
    /// `defrag`.
    pub defrag: Reading<Choice>,
    /// `shmem_enabled` (4.8).
    pub shmem: Reading<Choice>,
    /// `hpage_pmd_size`.
    pub size_bytes: Reading<u64>,
    /// `use_zero_page`.
    pub zero_page: Reading<u64>,
    /// `khugepaged/pages_collapsed`.
    pub collapsed: Reading<u64>,
    /// Each size that may be chosen alone (6.8), the smallest first.
    pub sizes: Reading<Vec<HugePageSize>>,
}

/// One size of transparent huge pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HugePageSize {
    /// The size.
    pub bytes: u64,
    /// `enabled`.
    pub enabled: Reading<Choice>,
    /// The numbers of `stats` (6.10): events, and pages of this size.
    pub counters: Reading<Counters>,
}

/// One pool of hugetlbfs: counts of its pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HugePool {
    /// Size of its pages.
    pub page_bytes: u64,
    /// `nr_hugepages`.
    pub pages: Reading<u64>,
    /// `free_hugepages`.
    pub free: Reading<u64>,
    /// `resv_hugepages`: promised and not yet given.
    pub reserved: Reading<u64>,
    /// `surplus_hugepages`: above what was asked for.
    pub surplus: Reading<u64>,
    /// `nr_overcommit_hugepages`: how far it may grow.
    pub most_surplus: Reading<u64>,
}

/// What a memory group counts besides its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupUse {
    /// `memory.stat`. Names and units differ between the versions.
    pub stat: Reading<Counters>,
    /// `memory.events` of version 2, `memory.oom_control` of version 1.
    pub events: Reading<Counters>,
    /// `memory.pressure` of version 2.
    pub pressure: Reading<Pressure>,
    /// `memory.peak` (5.19) or `memory.max_usage_in_bytes`.
    pub peak_bytes: Reading<u64>,
    /// `memory.swap.current`; version 1 has it in `stat`.
    pub swap_bytes: Reading<u64>,
}

/// One zram device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zram {
    /// `zram0` and so on.
    pub name: String,
    /// Size of the disk; 0 for one that is not set up.
    pub disk_bytes: Reading<u64>,
    /// What it holds.
    pub memory: Reading<ZramMemory>,
}

impl Host {
    /// `/proc/meminfo`.
    pub fn meminfo(&self) -> Reading<Meminfo> {
        self.bytes("/proc/meminfo").map(|bytes| Meminfo::parse(&bytes))
    }

    /// `/proc/vmstat`: pages and events.
    pub fn vmstat(&self) -> Reading<Counters> {
        self.counters("/proc/vmstat")
    }

    /// `/proc/pressure/memory`.
    pub fn pressure(&self) -> Reading<Pressure> {
        self.pressure_at("/proc/pressure/memory")
    }

    /// `/proc/swaps`.
    pub fn swaps(&self) -> Reading<Swaps> {
        self.bytes("/proc/swaps").map(|bytes| Swaps::parse(&bytes))
    }

    /// `/proc/buddyinfo`.
    pub fn buddyinfo(&self) -> Reading<BuddyInfo> {
        self.bytes("/proc/buddyinfo")
            .map(|bytes| BuddyInfo::parse(&bytes))
    }

    /// The words of `/proc/kpageflags` for `count` frames from `first` on; fewer where memory ends.
    /// Needs CAP_SYS_ADMIN.
    pub fn page_flags(&self, first: u64, count: u16) -> Reading<Vec<PageFlags>> {
        let mut bytes = vec![0; usize::from(count) * 8];
        let read = File::open(self.path("/proc/kpageflags"))
            .and_then(|file| file.read_at(&mut bytes, first.saturating_mul(8)));
        match read {
            Ok(len) => Reading::Value(PageFlags::parse(bytes.get(..len).unwrap_or_default()).collect()),
            Err(error) => missing(&error),
        }
    }

    /// KSM. Absent in a kernel without it.
    pub fn ksm(&self) -> Reading<Ksm> {
        self.folder("/sys/kernel/mm/ksm").map(|_| {
            let number = |name: &str| self.number(&format!("/sys/kernel/mm/ksm/{name}"));
            Ksm {
                run: number("run"),
                pages_shared: number("pages_shared"),
                pages_sharing: number("pages_sharing"),
                pages_unshared: number("pages_unshared"),
                pages_volatile: number("pages_volatile"),
                zero_pages: number("ksm_zero_pages"),
                full_scans: number("full_scans"),
                profit_bytes: self.text("/sys/kernel/mm/ksm/general_profit").and_then(|text| {
                    let profit = text.parse().map(Reading::Value);
                    profit.unwrap_or(Reading::Absent(Reason::Malformed))
                }),
            }
        })
    }

    /// Transparent huge pages. Absent in a kernel without them.
    pub fn huge_page_settings(&self) -> Reading<HugePageSettings> {
        const FOLDER: &str = "/sys/kernel/mm/transparent_hugepage";
        self.folder(FOLDER).map(|names| {
            let mut sizes: Vec<HugePageSize> = names
                .iter()
                .filter_map(|name| {
                    Some(HugePageSize {
                        bytes: size_in_name(name)?,
                        enabled: self.choice(&format!("{FOLDER}/{name}/enabled")),
                        counters: self.numbers(&format!("{FOLDER}/{name}/stats")),
                    })
                })
                .collect();
            sizes.sort_by_key(|size| size.bytes);
            HugePageSettings {
                enabled: self.choice(&format!("{FOLDER}/enabled")),
                defrag: self.choice(&format!("{FOLDER}/defrag")),
                shmem: self.choice(&format!("{FOLDER}/shmem_enabled")),
                size_bytes: self.number(&format!("{FOLDER}/hpage_pmd_size")),
                zero_page: self.number(&format!("{FOLDER}/use_zero_page")),
                collapsed: self.number(&format!("{FOLDER}/khugepaged/pages_collapsed")),
                sizes: match sizes.is_empty() {
                    true => Reading::Absent(Reason::NotInThisKernel),
                    false => Reading::Value(sizes),
                },
            }
        })
    }

    /// The pools of hugetlbfs, the smallest pages first.
    pub fn huge_pools(&self) -> Reading<Vec<HugePool>> {
        const FOLDER: &str = "/sys/kernel/mm/hugepages";
        self.folder(FOLDER).map(|names| {
            let pool = |name: &String| {
                let number = |file: &str| self.number(&format!("{FOLDER}/{name}/{file}"));
                Some(HugePool {
                    page_bytes: size_in_name(name)?,
                    pages: number("nr_hugepages"),
                    free: number("free_hugepages"),
                    reserved: number("resv_hugepages"),
                    surplus: number("surplus_hugepages"),
                    most_surplus: number("nr_overcommit_hugepages"),
                })
            };
            let mut pools: Vec<HugePool> = names.iter().filter_map(pool).collect();
            pools.sort_by_key(|pool| pool.page_bytes);
            pools
        })
    }

    /// Every zram device, by name; none where there are none.
    pub fn zram(&self) -> Reading<Vec<Zram>> {
        self.folder("/sys/block").map(|names| {
            let zrams = names.into_iter().filter(|name| name.starts_with("zram"));
            let read = zrams.map(|name| Zram {
                disk_bytes: self.number(&format!("/sys/block/{name}/disksize")),
                memory: self
                    .bytes(&format!("/sys/block/{name}/mm_stat"))
                    .and_then(|bytes| {
                        let memory = ZramMemory::parse(&bytes).map(Reading::Value);
                        memory.unwrap_or(Reading::Absent(Reason::Malformed))
                    }),
                name,
            });
            read.collect()
        })
    }

    /// What the memory group of this process counts.
    pub fn group_use(&self) -> Reading<GroupUse> {
        self.group_folder().map(|(group, folder)| {
            let path = |file: &str| format!("{folder}/{file}");
            let (events, peak) = match group.version {
                GroupVersion::V2 => ("memory.events", "memory.peak"),
                GroupVersion::V1 => ("memory.oom_control", "memory.max_usage_in_bytes"),
            };
            GroupUse {
                stat: self.counters(&path("memory.stat")),
                events: self.counters(&path(events)),
                pressure: self.pressure_at(&path("memory.pressure")),
                peak_bytes: self.number(&path(peak)),
                swap_bytes: self.number(&path("memory.swap.current")),
            }
        })
    }

    /// A setting with one of its words in brackets.
    pub fn choice(&self, path: &str) -> Reading<Choice> {
        self.bytes(path).and_then(|bytes| {
            Choice::parse(&bytes).map_or(Reading::Absent(Reason::Malformed), Reading::Value)
        })
    }

    pub(super) fn counters(&self, path: &str) -> Reading<Counters> {
        self.bytes(path).map(|bytes| Counters::parse(&bytes))
    }

    pub(super) fn pressure_at(&self, path: &str) -> Reading<Pressure> {
        self.bytes(path).map(|bytes| Pressure::parse(&bytes))
    }

    /// The files of a folder that are numbers; a file that is none, or denied, is counted as unknown.
    fn numbers(&self, path: &str) -> Reading<Counters> {
        self.folder(path).map(|names| {
            let mut text = String::new();
            for name in names {
                let number = self.number(&format!("{path}/{name}")).value();
                text += &number.map_or(format!("{name}\n"), |number| format!("{name} {number}\n"));
            }
            Counters::parse(text.as_bytes())
        })
    }

    /// The names in a folder, sorted.
    pub(super) fn folder(&self, path: &str) -> Reading<Vec<String>> {
        let names = fs::read_dir(self.path(path)).and_then(|entries| {
            let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            names.collect::<io::Result<Vec<String>>>()
        });
        match names {
            Ok(mut names) => {
                names.sort();
                Reading::Value(names)
            }
            Err(error) => missing(&error),
        }
    }
}

/// The bytes in `hugepages-2048kB`.
fn size_in_name(name: &str) -> Option<u64> {
    let kilobytes: u64 = name
        .strip_prefix("hugepages-")?
        .strip_suffix("kB")?
        .parse()
        .ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests;
