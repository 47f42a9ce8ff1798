//! What tasks wait for, what is promised, swap, identical and huge pages: of the whole machine.

use neap_proc::parse::{Meminfo, Stalled};
use neap_proc::read::{Host, Resource};
use neap_proc::{Reading, Reason};
use serde::Serialize;

use super::gather::Gather;

/// Shares of time in which tasks waited (PSI).
#[derive(Debug, Serialize)]
pub(crate) struct Pressures {
    pub(crate) memory: Option<Waits>,
    pub(crate) cpu: Option<Waits>,
    pub(crate) io: Option<Waits>,
}

/// `some`: at least one task waited; `full`: all did.
#[derive(Debug, Serialize)]
pub(crate) struct Waits {
    pub(crate) some: Option<Stall>,
    pub(crate) full: Option<Stall>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Stall {
    pub(crate) last_10_seconds_percent: f64,
    pub(crate) last_60_seconds_percent: f64,
    pub(crate) last_300_seconds_percent: f64,
    pub(crate) total_ns: u64,
}

impl From<Stalled> for Stall {
    fn from(stalled: Stalled) -> Stall {
        let percent = |hundredths: u32| f64::from(hundredths) / 100.0;
        Stall {
            last_10_seconds_percent: percent(stalled.last_10_seconds),
            last_60_seconds_percent: percent(stalled.last_60_seconds),
            last_300_seconds_percent: percent(stalled.last_300_seconds),
            total_ns: stalled.total_microseconds.saturating_mul(1000),
        }
    }
}

pub(super) fn pressures(host: &Host, gather: &mut Gather) -> Pressures {
    let mut waits = |name: &str, resource| {
        let path = format!("pressure.{name}");
        let pressure = gather.take(&path, host.pressure_of(resource))?;
        Some(Waits {
            some: gather.take(&format!("{path}.some"), pressure.some.map(Stall::from).into()),
            full: gather.take(&format!("{path}.full"), pressure.full.map(Stall::from).into()),
        })
    };
    Pressures {
        memory: waits("memory", Resource::Memory),
        cpu: waits("cpu", Resource::Cpu),
        io: waits("io", Resource::Io),
    }
}

/// What the kernel has promised.
#[derive(Debug, Serialize)]
pub(crate) struct Commit {
    pub(crate) limit_bytes: Option<u64>,
    pub(crate) committed_bytes: Option<u64>,
    /// vm.overcommit_memory: 0 a guess, 1 always, 2 up to the limit.
    pub(crate) overcommit_mode: Option<u64>,
    pub(crate) overcommit_ratio_percent: Option<u64>,
}

pub(super) fn commit(host: &Host, info: &Meminfo, gather: &mut Gather) -> Commit {
    let sysctl = |name: &str| host.number(&format!("/proc/sys/vm/{name}"));
    Commit {
        limit_bytes: gather.take("commit.limit_bytes", info.commit_limit_bytes.into()),
        committed_bytes: gather.take("commit.committed_bytes", info.committed_bytes.into()),
        overcommit_mode: gather.take("commit.overcommit_mode", sysctl("overcommit_memory")),
        overcommit_ratio_percent: gather.take("commit.overcommit_ratio_percent", sysctl("overcommit_ratio")),
    }
}

/// Swap areas and compressed memory.
#[derive(Debug, Serialize)]
pub(crate) struct SwapUse {
    pub(crate) total_bytes: Option<u64>,
    pub(crate) used_bytes: Option<u64>,
    /// In swap and in memory, so that it need not be written again.
    pub(crate) cached_bytes: Option<u64>,
    pub(crate) areas: Option<Vec<Area>>,
    pub(crate) zram: Option<Vec<Zram>>,
    /// Memory that zswap takes for zswapped_bytes.
    pub(crate) zswap_bytes: Option<u64>,
    pub(crate) zswapped_bytes: Option<u64>,
    /// Since the machine started.
    pub(crate) in_total_pages: Option<u64>,
    pub(crate) out_total_pages: Option<u64>,
    pub(crate) swappiness: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Area {
    pub(crate) path: String,
    pub(crate) kind: String,
    pub(crate) size_bytes: u64,
    pub(crate) used_bytes: u64,
    pub(crate) priority: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Zram {
    pub(crate) name: String,
    pub(crate) disk_bytes: Option<u64>,
    pub(crate) stored_bytes: Option<u64>,
    pub(crate) compressed_bytes: Option<u64>,
    pub(crate) memory_bytes: Option<u64>,
    /// stored_bytes / memory_bytes.
    pub(crate) ratio: Option<f64>,
}

pub(super) fn swap(host: &Host, info: &Meminfo, gather: &mut Gather) -> SwapUse {
    let vmstat = host.vmstat();
    let areas = gather.take("swap.areas", host.swaps()).map(|swaps| {
        let areas = swaps.areas.into_iter().map(|area| Area {
            path: area.path,
            kind: area.kind,
            size_bytes: area.size_bytes,
            used_bytes: area.used_bytes,
            priority: area.priority,
        });
        areas.collect()
    });
    let devices = gather.take("swap.zram", host.zram());
    let zram = devices.map(|devices| {
        let each = devices.into_iter().enumerate().map(|(index, device)| {
            let path = format!("swap.zram[{index}]");
            let memory = gather.take(&format!("{path}.memory_bytes"), device.memory);
            for field in ["stored_bytes", "compressed_bytes"] {
                if memory.is_none() {
                    gather.miss(&format!("{path}.{field}"), "mm_stat is missing");
                }
            }
            let used = memory.map(|memory| memory.used_bytes).filter(|&bytes| bytes > 0);
            let ratio = memory
                .zip(used)
                .map(|(memory, used)| crate::unit::to_f64(memory.original_bytes) / crate::unit::to_f64(used));
            if ratio.is_none() {
                gather.miss(&format!("{path}.ratio"), "it holds nothing");
            }
            Zram {
                disk_bytes: gather.take(&format!("{path}.disk_bytes"), device.disk_bytes),
                stored_bytes: memory.map(|memory| memory.original_bytes),
                compressed_bytes: memory.map(|memory| memory.compressed_bytes),
                memory_bytes: memory.map(|memory| memory.used_bytes),
                ratio,
                name: device.name,
            }
        });
        each.collect()
    });
    SwapUse {
        total_bytes: gather.take("swap.total_bytes", info.swap_total_bytes.into()),
        used_bytes: gather.take("swap.used_bytes", info.swap_used_bytes().into()),
        cached_bytes: gather.take("swap.cached_bytes", info.swap_cached_bytes.into()),
        areas,
        zram,
        zswap_bytes: gather.take("swap.zswap_bytes", info.zswap_bytes.into()),
        zswapped_bytes: gather.take("swap.zswapped_bytes", info.zswapped_bytes.into()),
        in_total_pages: gather.counter("swap.in_total_pages", &vmstat, "pswpin"),
        out_total_pages: gather.counter("swap.out_total_pages", &vmstat, "pswpout"),
        swappiness: gather.take("swap.swappiness", host.number("/proc/sys/vm/swappiness")),
    }
}

/// Identical pages kept once.
#[derive(Debug, Serialize)]
pub(crate) struct KsmUse {
    /// 0 stopped, 1 running, 2 undoing.
    pub(crate) run: Option<u64>,
    pub(crate) shared_bytes: Option<u64>,
    /// What would be there in addition without KSM.
    pub(crate) saved_bytes: Option<u64>,
    pub(crate) unshared_bytes: Option<u64>,
    pub(crate) volatile_bytes: Option<u64>,
    pub(crate) zero_bytes: Option<u64>,
    /// Saved without KSM's own records; below zero where they cost more.
    pub(crate) profit_bytes: Option<i64>,
    pub(crate) full_scans: Option<u64>,
}

pub(super) fn ksm(host: &Host, page_bytes: u64, gather: &mut Gather) -> Option<KsmUse> {
    let ksm = gather.take("ksm", host.ksm())?;
    let mut bytes = |field: &str, pages: Reading<u64>| {
        let bytes = pages.and_then(|pages| {
            pages
                .checked_mul(page_bytes)
                .map_or(Reading::Absent(Reason::Malformed), Reading::Value)
        });
        gather.take(&format!("ksm.{field}"), bytes)
    };
    Some(KsmUse {
        shared_bytes: bytes("shared_bytes", ksm.pages_shared),
        saved_bytes: bytes("saved_bytes", ksm.pages_sharing),
        unshared_bytes: bytes("unshared_bytes", ksm.pages_unshared),
        volatile_bytes: bytes("volatile_bytes", ksm.pages_volatile),
        zero_bytes: bytes("zero_bytes", ksm.zero_pages),
        run: gather.take("ksm.run", ksm.run),
        profit_bytes: gather.take("ksm.profit_bytes", ksm.profit_bytes),
        full_scans: gather.take("ksm.full_scans", ksm.full_scans),
    })
}
