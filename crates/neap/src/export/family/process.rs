//! Families of processes: sizes, faults, time, PSS and USS.

use std::borrow::Cow;

use super::{Family, Kind, Unit, Value, each_process, of, seconds};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        stem: "neap_process",
        unit: Unit::None,
        kind: Kind::Info,
        help: "An exported process: its effective user and the control group that counts its memory.",
        samples: |scrape, out| {
            for process in &scrape.processes {
                let mut labels = of(process);
                let more = [("user", &process.user), ("cgroup", &process.group)];
                let more = more
                    .into_iter()
                    .filter_map(|(key, text)| Some((key, text.as_deref()?)));
                labels.extend(more.map(|(key, text)| (key, Cow::Borrowed(text))));
                out(labels, Value::Whole(1));
            }
        },
    },
    Family {
        stem: "neap_process_start_time",
        unit: Unit::Seconds,
        kind: Kind::Gauge,
        help: "When the process started, since 1970. Another start under the same pid is another process.",
        samples: |scrape, out| {
            for process in &scrape.processes {
                if let Some(start) = process.start_time_seconds {
                    out(of(process), Value::Real(start));
                }
            }
        },
    },
    Family {
        stem: "neap_process_resident",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "RSS: memory of the process that is in RAM (VmRSS).",
        samples: |scrape, out| each_process(scrape, out, |p| Some(&p.memory.resident_bytes)),
    },
    Family {
        stem: "neap_process_resident_anonymous",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "The part of RSS that belongs to no file: heaps and stacks (RssAnon, Linux 4.5).",
        samples: |scrape, out| each_process(scrape, out, |p| Some(&p.memory.resident_anonymous_bytes)),
    },
    Family {
        stem: "neap_process_resident_file",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "The part of RSS that maps files (RssFile, Linux 4.5).",
        samples: |scrape, out| each_process(scrape, out, |p| Some(&p.memory.resident_file_bytes)),
    },
    Family {
        stem: "neap_process_resident_shmem",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "The part of RSS that is shared memory: tmpfs, memfd, shared anonymous (RssShmem, Linux 4.5).",
        samples: |scrape, out| each_process(scrape, out, |p| Some(&p.memory.resident_shmem_bytes)),
    },
    Family {
        stem: "neap_process_resident_peak",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "The most RSS ever was since exec (VmHWM).",
        samples: |scrape, out| each_process(scrape, out, |p| Some(&p.memory.resident_peak_bytes)),
    },
    Family {
        stem: "neap_process_swap",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Anonymous memory in swap (VmSwap).",
        samples: |scrape, out| each_process(scrape, out, |p| Some(&p.memory.swap_bytes)),
    },
    Family {
        stem: "neap_process_virtual",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Addresses the process has mapped (VmSize).",
        samples: |scrape, out| each_process(scrape, out, |p| Some(&p.memory.size_bytes)),
    },
    Family {
        stem: "neap_process_page_table",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Memory of the kernel for the process's page tables (VmPTE).",
        samples: |scrape, out| each_process(scrape, out, |p| Some(&p.memory.page_table_bytes)),
    },
    Family {
        stem: "neap_process_locked",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Memory locked into RAM by mlock (VmLck).",
        samples: |scrape, out| each_process(scrape, out, |p| Some(&p.memory.locked_bytes)),
    },
    Family {
        stem: "neap_process_proportional",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "PSS: RSS with each shared page divided among those who share it (smaps_rollup).",
        samples: |scrape, out| each_process(scrape, out, |p| Some(&p.shares.proportional_bytes)),
    },
    Family {
        stem: "neap_process_unique",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "USS: the part of RSS that nobody shares (Private_Clean + Private_Dirty of smaps_rollup).",
        samples: |scrape, out| each_process(scrape, out, |p| Some(&p.shares.unique_bytes)),
    },
    Family {
        stem: "neap_process_swap_proportional",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Swap with each shared page divided among those who share it (SwapPss).",
        samples: |scrape, out| each_process(scrape, out, |p| Some(&p.shares.swap_proportional_bytes)),
    },
    Family {
        stem: "neap_process_shares_age",
        unit: Unit::Seconds,
        kind: Kind::Gauge,
        help: "Time since PSS and USS were read; they are read within a budget (--pss-budget).",
        samples: |scrape, out| {
            for process in &scrape.processes {
                if let Some(age) = process.shares.age_ns.value() {
                    out(of(process), seconds(age));
                }
            }
        },
    },
    Family {
        stem: "neap_process_threads",
        unit: Unit::None,
        kind: Kind::Gauge,
        help: "Threads of the process.",
        samples: |scrape, out| each_process(scrape, out, |p| Some(&p.memory.threads)),
    },
    Family {
        stem: "neap_process_page_faults",
        unit: Unit::None,
        kind: Kind::Counter,
        help: "Page faults: minor ones were served from memory, major ones from a disk.",
        samples: |scrape, out| {
            for process in &scrape.processes {
                let faults = [
                    ("minor", &process.memory.minor_faults),
                    ("major", &process.memory.major_faults),
                ];
                for (kind, faults) in faults {
                    if let Some(faults) = faults.value() {
                        let mut labels = of(process);
                        labels.push(("kind", Cow::Borrowed(kind)));
                        out(labels, Value::Whole(faults));
                    }
                }
            }
        },
    },
    Family {
        stem: "neap_process_cpu",
        unit: Unit::Seconds,
        kind: Kind::Counter,
        help: "CPU time of the process, in steps of a clock tick.",
        samples: |scrape, out| {
            for process in &scrape.processes {
                let times = [
                    ("user", &process.memory.user_ns),
                    ("system", &process.memory.system_ns),
                ];
                for (mode, time) in times {
                    if let Some(time) = time.value() {
                        let mut labels = of(process);
                        labels.push(("mode", Cow::Borrowed(mode)));
                        out(labels, seconds(time));
                    }
                }
            }
        },
    },
    Family {
        stem: "neap_process_unreadable",
        unit: Unit::None,
        kind: Kind::Gauge,
        help: "Processes of which a source of figures could not be read; their series are left out.",
        samples: |scrape, out| {
            for row in &scrape.unreadable {
                let labels = vec![
                    ("source", Cow::Borrowed(row.source)),
                    ("reason", Cow::Borrowed(row.reason)),
                ];
                out(labels, Value::Whole(row.processes));
            }
        },
    },
];
