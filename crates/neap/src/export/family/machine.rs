//! Families of the machine: its memory, PSI, the control groups of exported processes.

use std::borrow::Cow;

use super::super::figures::{GroupSizes, Scrape};
use super::{Family, Kind, Out, Unit, Value, seconds, single};
use crate::report::Figure;

/// A sample for each group that has the figure.
fn each_group<'a>(scrape: &'a Scrape, out: Out<'_, 'a>, figure: impl Fn(&'a GroupSizes) -> &'a Figure) {
    for group in &scrape.groups {
        if let Some(bytes) = figure(&group.sizes).value() {
            out(
                vec![("cgroup", Cow::Borrowed(group.path.as_str()))],
                Value::Whole(bytes),
            );
        }
    }
}

pub(super) const FAMILIES: &[Family] = &[
    Family {
        stem: "neap_machine_memory",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Memory of the machine (MemTotal).",
        samples: |scrape, out| single(out, &scrape.machine.sizes.memory_bytes),
    },
    Family {
        stem: "neap_machine_free",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Memory that nobody uses (MemFree).",
        samples: |scrape, out| single(out, &scrape.machine.sizes.free_bytes),
    },
    Family {
        stem: "neap_machine_available",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Memory that programs can get without swapping, by the kernel's estimate (MemAvailable).",
        samples: |scrape, out| single(out, &scrape.machine.sizes.available_bytes),
    },
    Family {
        stem: "neap_machine_swap",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Swap of the machine (SwapTotal).",
        samples: |scrape, out| single(out, &scrape.machine.sizes.swap_bytes),
    },
    Family {
        stem: "neap_machine_swap_free",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Swap that nobody uses (SwapFree).",
        samples: |scrape, out| single(out, &scrape.machine.sizes.swap_free_bytes),
    },
    Family {
        stem: "neap_machine_pressure",
        unit: Unit::Seconds,
        kind: Kind::Counter,
        help: "PSI: time in which some tasks, or all (full), waited for memory.",
        samples: |scrape, out| {
            for line in scrape.machine.pressure.iter().flatten() {
                out(vec![("tasks", Cow::Borrowed(line.tasks))], seconds(line.total_ns));
            }
        },
    },
    Family {
        stem: "neap_machine_pressure",
        unit: Unit::Ratio,
        kind: Kind::Gauge,
        help: "PSI: part of the last 10, 60 or 300 seconds in which tasks waited for memory.",
        samples: |scrape, out| {
            for line in scrape.machine.pressure.iter().flatten() {
                let windows = [
                    ("10s", line.last_10_seconds_share),
                    ("60s", line.last_60_seconds_share),
                    ("300s", line.last_300_seconds_share),
                ];
                for (window, share) in windows {
                    let labels = vec![
                        ("tasks", Cow::Borrowed(line.tasks)),
                        ("window", Cow::Borrowed(window)),
                    ];
                    out(labels, Value::Real(share));
                }
            }
        },
    },
    Family {
        stem: "neap_cgroup_used",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Memory that a control group of an exported process uses (memory.current).",
        samples: |scrape, out| each_group(scrape, out, |group| &group.used_bytes),
    },
    Family {
        stem: "neap_cgroup_limit",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Its limit (memory.max); a group without one has no series.",
        samples: |scrape, out| each_group(scrape, out, |group| &group.limit_bytes),
    },
    Family {
        stem: "neap_cgroup_high",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Where the kernel begins to slow it down (memory.high); none without one.",
        samples: |scrape, out| each_group(scrape, out, |group| &group.high_bytes),
    },
    Family {
        stem: "neap_cgroup_peak",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "The most memory it ever used (memory.peak, Linux 5.19).",
        samples: |scrape, out| each_group(scrape, out, |group| &group.peak_bytes),
    },
    Family {
        stem: "neap_cgroup_swap",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Its memory in swap (memory.swap.current).",
        samples: |scrape, out| each_group(scrape, out, |group| &group.swap_bytes),
    },
];
