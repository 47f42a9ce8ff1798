//! A scrape for tests: one process with a heap and a hostile name, one of which almost nothing may be read.

use super::figures::*;
use crate::report::Figure;

/// Quotes, a backslash and a line's end: what a label must escape.
pub(crate) const HOSTILE: &str = "a\"b\\c\nd";

pub(crate) fn scrape() -> Scrape {
    let denied = || Figure::Missing("permission denied".to_owned());
    Scrape {
        processes: vec![
            process(7, HOSTILE, Figure::Known, Some(heap())),
            process(8, "kept", |_| denied(), None),
        ],
        groups: vec![Group {
            path: "/system.slice/a.service".to_owned(),
            sizes: GroupSizes {
                used_bytes: Figure::Known(4096),
                limit_bytes: Figure::Missing("no limit is set".to_owned()),
                high_bytes: Figure::Missing("no limit is set".to_owned()),
                peak_bytes: Figure::Known(8192),
                swap_bytes: Figure::Known(0),
            },
        }],
        machine: Machine {
            sizes: Sizes {
                memory_bytes: Figure::Known(16 << 30),
                free_bytes: Figure::Known(1 << 30),
                available_bytes: Figure::Known(2 << 30),
                swap_bytes: Figure::Known(0),
                swap_free_bytes: Figure::Known(0),
            },
            pressure: Some(vec![Stalled {
                tasks: "some",
                last_10_seconds_share: 0.015,
                last_60_seconds_share: 0.0,
                last_300_seconds_share: 1.0,
                total_ns: 1_500_000_000,
            }]),
            no_pressure: None,
        },
        unreadable: vec![Unreadable {
            source: "heap",
            reason: "denied",
            processes: 1,
        }],
        exporter: Own {
            seen: 9,
            exported: 2,
            left_out: 1,
            scrape_ns: 2_000_000,
            errors: vec![("busy", 3)],
            ..Own::default()
        },
    }
}

fn process(pid: u32, name: &str, figure: impl Fn(u64) -> Figure, heap: Option<Heap>) -> Process {
    let no_heap = heap.is_none().then(|| "denied".to_owned());
    Process {
        pid,
        name: name.to_owned(),
        user: Some("root".to_owned()),
        group: None,
        start_time_seconds: Some(1_795_260_676.5),
        memory: Memory {
            resident_bytes: figure(1001),
            resident_anonymous_bytes: figure(1002),
            resident_file_bytes: figure(1003),
            resident_shmem_bytes: figure(0),
            resident_peak_bytes: figure(1005),
            swap_bytes: figure(1006),
            size_bytes: figure(1007),
            page_table_bytes: figure(1008),
            locked_bytes: figure(1009),
            threads: figure(4),
            minor_faults: figure(11),
            major_faults: figure(12),
            user_ns: figure(2_500_000_000),
            system_ns: figure(10_000_000),
        },
        shares: Shares {
            proportional_bytes: figure(901),
            unique_bytes: figure(902),
            swap_proportional_bytes: figure(903),
            age_ns: figure(250_000_000),
        },
        heap,
        no_heap,
    }
}

fn heap() -> Heap {
    let not_counted = || Figure::Missing("its live blocks have not been counted yet".to_owned());
    Heap {
        backend: "mmap",
        counters: Counters {
            live_bytes: not_counted(),
            live_blocks: not_counted(),
            held_bytes: Figure::Known(2001),
            dirty_bytes: Figure::Known(2002),
            meta_bytes: Figure::Known(2003),
            threads: Figure::Known(3),
            live_peak_bytes: not_counted(),
            held_peak_bytes: Figure::Known(2004),
            large_blocks: Figure::Known(5),
            large_bytes: Figure::Known(2005),
            direct_blocks: Figure::Known(6),
            direct_bytes: Figure::Known(2006),
            given_back_bytes: Figure::Known(2007),
            regret_bytes: Figure::Known(2008),
            purges: Figure::Known(21),
            helper_starts: Figure::Known(2),
            helpers: Figure::Known(1),
        },
        memory_calls: vec![Call {
            name: "madvise",
            calls: 31,
            bytes: 32,
            failed: 33,
        }],
        classes: vec![Class {
            block_bytes: 64,
            live_blocks: 41,
        }],
    }
}
