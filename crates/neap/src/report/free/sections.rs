//! The sections that can be asked for, one function each.

use super::{As, Page, Section};
use crate::free::group::Level;
use crate::free::machine::Stall;
use crate::unit;

impl Page<'_> {
    pub(super) fn section(&mut self, section: Section) {
        match section {
            Section::Pressure => self.pressure(),
            Section::Group => self.group(),
            Section::Swap => self.swap(),
            Section::Ksm => self.ksm(),
            Section::Transparent => self.transparent(),
            Section::Hugetlb => self.hugetlb(),
            Section::Numa => self.numa(),
        }
    }

    fn pressure(&mut self) {
        self.title("Pressure: time in which tasks waited");
        self.heading("", &["10 s", "1 min", "5 min", "in all"]);
        let survey = self.survey;
        let pressure = &survey.pressure;
        let all = [
            ("memory", &pressure.memory),
            ("cpu", &pressure.cpu),
            ("io", &pressure.io),
        ];
        for (name, waits) in all {
            let path = format!("pressure.{name}");
            let Some(waits) = waits else {
                let why = self.missing(&path);
                self.line(name, &why);
                continue;
            };
            for (kind, stall) in [("some", &waits.some), ("full", &waits.full)] {
                let label = format!("{name}, {kind}");
                match stall {
                    Some(stall) => self.row(&label, &stalled(stall)),
                    None => {
                        let why = self.missing(&format!("{path}.{kind}"));
                        self.line(&label, &why);
                    }
                }
            }
        }
    }

    fn group(&mut self) {
        self.title("Control group of this process");
        let survey = self.survey;
        let Some(groups) = &survey.cgroup else {
            let why = self.missing("cgroup");
            return self.line("cgroup", &why);
        };
        self.line("version", &groups.version.to_string());
        for (index, level) in groups.levels.iter().enumerate() {
            let mark = if groups.tightest == Some(index) {
                "the tightest limit"
            } else {
                ""
            };
            self.level(level, index, mark);
        }
        let holds = &groups.holds;
        let fields = [
            ("holds, programs", "anonymous_bytes", holds.anonymous_bytes),
            ("files, tmpfs", "file_bytes", holds.file_bytes),
            ("of which tmpfs", "shmem_bytes", holds.shmem_bytes),
            ("kernel", "kernel_bytes", holds.kernel_bytes),
            ("slab", "slab_bytes", holds.slab_bytes),
            ("dirty", "dirty_bytes", holds.dirty_bytes),
            ("peak", "peak_bytes", holds.peak_bytes),
        ];
        for (label, field, value) in fields {
            let text = self.cell(&format!("cgroup.holds.{field}"), value, As::Size);
            self.line(label, &text);
        }
    }

    fn level(&mut self, level: &Level, index: usize, mark: &str) {
        let path = |field: &str| format!("cgroup.levels[{index}].{field}");
        let cell = |field: &str, value, how| self.cell(&path(field), value, how);
        let text = format!(
            "used {}, limit {}, high {}, swap {}",
            cell("used_bytes", level.used_bytes, As::Size),
            cell("limit_bytes", level.limit_bytes, As::Size),
            cell("high_bytes", level.high_bytes, As::Size),
            cell("swap_used_bytes", level.swap_used_bytes, As::Size),
        );
        let events = format!(
            "limit hit {}, killed {}",
            cell("limit_events", level.limit_events, As::Count),
            cell("oom_kills", level.oom_kills, As::Count),
        );
        let name = if mark.is_empty() {
            level.path.clone()
        } else {
            format!("{} ({mark})", level.path)
        };
        self.line("group", &name);
        self.line("", &text);
        self.line("", &events);
    }

    fn swap(&mut self) {
        self.title("Swap");
        let survey = self.survey;
        let swap = &survey.swap;
        match &swap.areas {
            None => {
                let why = self.missing("swap.areas");
                self.line("areas", &why);
            }
            Some(areas) if areas.is_empty() => self.line("areas", "none"),
            Some(areas) => {
                self.heading("area", &["size", "used", "priority", "kind"]);
                for area in areas {
                    let cells = [
                        unit::size(area.size_bytes),
                        unit::size(area.used_bytes),
                        area.priority.to_string(),
                        area.kind.clone(),
                    ];
                    self.row(&area.path, &cells);
                }
            }
        }
        match &swap.zram {
            None => {
                let why = self.missing("swap.zram");
                self.line("zram", &why);
            }
            Some(devices) if devices.is_empty() => self.line("zram", "none"),
            Some(devices) => {
                self.heading("zram", &["disk", "stored", "compressed", "memory", "ratio"]);
                let mut notes = Vec::new();
                for (index, device) in devices.iter().enumerate() {
                    let cell = |field: &str, value| {
                        self.cell(&format!("swap.zram[{index}].{field}"), value, As::Size)
                    };
                    let ratio = device.ratio.map(|ratio| format!("{ratio:.2}"));
                    let cells = [
                        cell("disk_bytes", device.disk_bytes),
                        cell("stored_bytes", device.stored_bytes),
                        cell("compressed_bytes", device.compressed_bytes),
                        cell("memory_bytes", device.memory_bytes),
                        ratio.unwrap_or_else(|| self.missing(&format!("swap.zram[{index}].ratio"))),
                    ];
                    self.row(&device.name, &cells);
                    notes.extend(cells);
                }
                self.notes(notes.iter());
            }
        }
        for (label, field, value, how) in [
            ("zswap takes", "zswap_bytes", swap.zswap_bytes, As::Size),
            ("zswap holds", "zswapped_bytes", swap.zswapped_bytes, As::Size),
            ("swap cache", "cached_bytes", swap.cached_bytes, As::Size),
            ("pages in, ever", "in_total_pages", swap.in_total_pages, As::Count),
            (
                "pages out, ever",
                "out_total_pages",
                swap.out_total_pages,
                As::Count,
            ),
            ("vm.swappiness", "swappiness", swap.swappiness, As::Count),
        ] {
            let text = self.cell(&format!("swap.{field}"), value, how);
            self.line(label, &text);
        }
    }

    fn ksm(&mut self) {
        self.title("KSM: identical pages kept once");
        let survey = self.survey;
        let Some(ksm) = &survey.ksm else {
            let why = self.missing("ksm");
            return self.line("KSM", &why);
        };
        let run = match ksm.run {
            Some(0) => "stopped".to_owned(),
            Some(1) => "running".to_owned(),
            Some(2) => "undoing".to_owned(),
            Some(other) => other.to_string(),
            None => self.missing("ksm.run"),
        };
        self.line("state", &run);
        for (label, field, value) in [
            ("kept", "shared_bytes", ksm.shared_bytes),
            ("saved", "saved_bytes", ksm.saved_bytes),
            ("alone", "unshared_bytes", ksm.unshared_bytes),
            ("changing", "volatile_bytes", ksm.volatile_bytes),
            ("zero pages", "zero_bytes", ksm.zero_bytes),
        ] {
            let text = self.cell(&format!("ksm.{field}"), value, As::Size);
            self.line(label, &text);
        }
        let profit = match ksm.profit_bytes {
            Some(bytes) if bytes < 0 => format!("-{}", unit::size(bytes.unsigned_abs())),
            Some(bytes) => unit::size(bytes.unsigned_abs()),
            None => self.missing("ksm.profit_bytes"),
        };
        self.line("profit", &profit);
        let scans = self.cell("ksm.full_scans", ksm.full_scans, As::Count);
        self.line("full scans", &scans);
    }

    fn transparent(&mut self) {
        self.title("Transparent huge pages");
        let survey = self.survey;
        let Some(thp) = &survey.thp else {
            let why = self.missing("thp");
            return self.line("THP", &why);
        };
        for (label, field, word) in [
            ("enabled", "enabled", &thp.enabled),
            ("defrag", "defrag", &thp.defrag),
            ("for tmpfs", "shmem_enabled", &thp.shmem_enabled),
        ] {
            let text = word
                .clone()
                .unwrap_or_else(|| self.missing(&format!("thp.{field}")));
            self.line(label, &text);
        }
        for (label, field, value, how) in [
            ("page", "page_bytes", thp.page_bytes, As::Size),
            ("of programs", "anonymous_bytes", thp.anonymous_bytes, As::Size),
            ("of tmpfs", "shmem_bytes", thp.shmem_bytes, As::Size),
            ("of files", "file_bytes", thp.file_bytes, As::Size),
            ("faults with one", "faults", thp.faults, As::Count),
            ("faults without", "faults_without", thp.faults_without, As::Count),
            ("pages split", "pages_split", thp.pages_split, As::Count),
            ("mappings split", "mappings_split", thp.mappings_split, As::Count),
            (
                "splits deferred",
                "splits_deferred",
                thp.splits_deferred,
                As::Count,
            ),
            ("swapped whole", "swapped_whole", thp.swapped_whole, As::Count),
            ("zero pages", "zero_pages", thp.zero_pages, As::Count),
            (
                "khugepaged made",
                "khugepaged_collapsed",
                thp.khugepaged_collapsed,
                As::Count,
            ),
            (
                "khugepaged failed",
                "khugepaged_failed",
                thp.khugepaged_failed,
                As::Count,
            ),
            (
                "khugepaged scans",
                "khugepaged_full_scans",
                thp.khugepaged_full_scans,
                As::Count,
            ),
        ] {
            let text = self.cell(&format!("thp.{field}"), value, how);
            self.line(label, &text);
        }
        self.sizes();
    }

    fn sizes(&mut self) {
        let survey = self.survey;
        let Some(sizes) = survey.thp.as_ref().and_then(|thp| thp.sizes.as_ref()) else {
            let why = self.missing("thp.sizes");
            return self.line("sizes", &why);
        };
        self.heading("size", &["enabled", "in use", "faults", "without", "split"]);
        let mut notes = Vec::new();
        for (index, size) in sizes.iter().enumerate() {
            let path = |field: &str| format!("thp.sizes[{index}].{field}");
            let cell = |field: &str, value, how| self.cell(&path(field), value, how);
            let cells = [
                size.enabled
                    .clone()
                    .unwrap_or_else(|| self.missing(&path("enabled"))),
                cell("anonymous_bytes", size.anonymous_bytes, As::Size),
                cell("faults", size.faults, As::Count),
                cell("faults_without", size.faults_without, As::Count),
                cell("pages_split", size.pages_split, As::Count),
            ];
            self.row(&unit::size(size.page_bytes), &cells);
            notes.extend(cells);
        }
        self.notes(notes.iter());
    }

    fn hugetlb(&mut self) {
        self.title("Pools of huge pages (hugetlbfs), in pages");
        let survey = self.survey;
        let Some(pools) = &survey.hugetlb else {
            let why = self.missing("hugetlb");
            return self.line("pools", &why);
        };
        self.heading("page", &["pages", "free", "reserved", "surplus"]);
        let mut notes = Vec::new();
        for (index, pool) in pools.iter().enumerate() {
            let cell = |field: &str, value| self.cell(&format!("hugetlb[{index}].{field}"), value, As::Count);
            let cells = [
                cell("pages", pool.pages),
                cell("free_pages", pool.free_pages),
                cell("reserved_pages", pool.reserved_pages),
                cell("surplus_pages", pool.surplus_pages),
            ];
            self.row(&unit::size(pool.page_bytes), &cells);
            notes.extend(cells);
        }
        self.notes(notes.iter());
    }

    fn numa(&mut self) {
        self.title("Nodes, and free memory by zone");
        let survey = self.survey;
        let mut notes = Vec::new();
        match &survey.numa.nodes {
            None => {
                let why = self.missing("numa.nodes");
                self.line("nodes", &why);
            }
            Some(nodes) => {
                self.heading("node", &["total", "free", "files", "programs", "slab"]);
                for (index, node) in nodes.iter().enumerate() {
                    let cell = |field: &str, value| {
                        self.cell(&format!("numa.nodes[{index}].{field}"), value, As::Size)
                    };
                    let cells = [
                        cell("total_bytes", node.total_bytes),
                        cell("free_bytes", node.free_bytes),
                        cell("file_bytes", node.file_bytes),
                        cell("anonymous_bytes", node.anonymous_bytes),
                        cell("slab_bytes", node.slab_bytes),
                    ];
                    self.row(&node.number.to_string(), &cells);
                    notes.extend(cells);
                }
            }
        }
        self.notes(notes.iter());
        let Some(zones) = &survey.numa.zones else {
            let why = self.missing("numa.zones");
            return self.line("zones", &why);
        };
        self.heading("zone", &["free", "largest", "in huge", "share"]);
        for zone in zones {
            let share = match zone.free_bytes {
                0 => "-".to_owned(),
                free => unit::percent(unit::to_f64(zone.free_huge_bytes) / unit::to_f64(free)),
            };
            let cells = [
                unit::size(zone.free_bytes),
                unit::size(zone.largest_free_bytes),
                unit::size(zone.free_huge_bytes),
                share,
            ];
            self.row(&format!("node {} {}", zone.node, zone.name), &cells);
        }
    }
}

fn stalled(stall: &Stall) -> [String; 4] {
    let percent = |share: f64| format!("{share:.2} %");
    [
        percent(stall.last_10_seconds_percent),
        percent(stall.last_60_seconds_percent),
        percent(stall.last_300_seconds_percent),
        unit::time(stall.total_ns),
    ]
}
