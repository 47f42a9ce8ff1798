//! The machine's memory and its control groups.
//!
//! Groups are those of the exported processes, read where control groups are usually mounted. A group without a
//! limit has none, which is not a limit of 0: the figure is missing, and so is the series.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use neap_proc::Reading;
use neap_proc::parse::{Bound, GroupVersion, Groups, Meminfo, MemoryGroup, Stalled as Line};
use neap_proc::read::Host;

use super::figures::{Group, GroupSizes, Machine, Sizes, Stalled};
use crate::report::Figure;
use crate::report::text::printable;

/// Reads the machine's sizes and PSI.
pub(crate) fn machine(host: &Host) -> Machine {
    let info = host.meminfo();
    let size = |line: fn(&Meminfo) -> Option<u64>| match &info {
        Reading::Value(info) => Figure::from(Reading::from(line(info))),
        missing => Figure::Missing(missing.reason().unwrap_or_default()),
    };
    let sizes = Sizes {
        memory_bytes: size(|info| info.total_bytes),
        free_bytes: size(|info| info.free_bytes),
        available_bytes: size(|info| info.available_bytes),
        swap_bytes: size(|info| info.swap_total_bytes),
        swap_free_bytes: size(|info| info.swap_free_bytes),
    };
    let pressure = host.pressure();
    Machine {
        sizes,
        no_pressure: pressure.reason(),
        pressure: pressure.value().map(|pressure| {
            let lines = [("some", pressure.some), ("full", pressure.full)];
            let lines = lines.into_iter().filter_map(|(tasks, line)| Some((tasks, line?)));
            lines.map(|(tasks, line)| stalled(tasks, line)).collect()
        }),
    }
}

fn stalled(tasks: &'static str, line: Line) -> Stalled {
    let share = |hundredths: u32| f64::from(hundredths) / 10_000.0;
    Stalled {
        tasks,
        last_10_seconds_share: share(line.last_10_seconds),
        last_60_seconds_share: share(line.last_60_seconds),
        last_300_seconds_share: share(line.last_300_seconds),
        total_ns: line.total_microseconds.saturating_mul(1000),
    }
}

/// The control group of a process.
pub(crate) fn group_of(host: &Host, pid: u32) -> Option<MemoryGroup> {
    let text = host.text(&format!("/proc/{pid}/cgroup")).value()?;
    Groups::parse(text.as_bytes()).memory
}

/// Reads each group once, in the order of paths. The root group has no files and is left out, as is a group
/// outside of what this process sees mounted.
pub(crate) fn groups(host: &Host, found: impl Iterator<Item = MemoryGroup>) -> Vec<Group> {
    let mut seen = BTreeSet::new();
    let mut groups: Vec<Group> = found
        .filter(|group| seen.insert(group.path.clone()))
        .filter_map(|group| read(host, group))
        .collect();
    groups.sort_by(|a, b| a.path.cmp(&b.path));
    groups
}

fn read(host: &Host, group: MemoryGroup) -> Option<Group> {
    // A path that climbs out belongs to another namespace of control groups.
    let climbs = Path::new(&group.path)
        .components()
        .any(|part| part == Component::ParentDir);
    let path = group.path.trim_matches('/');
    if climbs || path.is_empty() {
        return None;
    }
    let (mount, [used, limit, high, peak, swap]) = match group.version {
        GroupVersion::V2 => (
            "/sys/fs/cgroup",
            [
                "memory.current",
                "memory.max",
                "memory.high",
                "memory.peak",
                "memory.swap.current",
            ],
        ),
        GroupVersion::V1 => (
            "/sys/fs/cgroup/memory",
            [
                "memory.usage_in_bytes",
                "memory.limit_in_bytes",
                "memory.high",
                "memory.max_usage_in_bytes",
                "memory.swap.current",
            ],
        ),
    };
    let at = |file: &str| format!("{mount}/{path}/{file}");
    if !host.has(&at(used)) {
        return None;
    }
    let bound = |file: &str| {
        let text = host.text(&at(file));
        match text.as_value().map(|text| Bound::parse(text.as_bytes())) {
            Some(Some(Bound::At(bytes))) => Figure::Known(bytes),
            Some(Some(Bound::Unlimited)) => Figure::Missing("no limit is set".to_owned()),
            Some(None) => Figure::Missing("the kernel's text has an unknown form".to_owned()),
            None => Figure::Missing(text.reason().unwrap_or_default()),
        }
    };
    let sizes = GroupSizes {
        used_bytes: host.number(&at(used)).into(),
        limit_bytes: bound(limit),
        high_bytes: bound(high),
        peak_bytes: host.number(&at(peak)).into(),
        swap_bytes: host.number(&at(swap)).into(),
    };
    Some(Group {
        path: printable(&group.path),
        sizes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let host = Host::recorded(folder.path());
        (folder, host)
    }

    #[test]
    fn a_group_without_a_limit_has_none_and_each_is_read_once() {
        let (_folder, host) = copy(&[
            ("proc/7/cgroup", "0::/system.slice/a.service\n"),
            ("proc/8/cgroup", "0::/system.slice/a.service\n"),
            ("proc/9/cgroup", "0::/../other\n"),
            ("proc/10/cgroup", "0::/\n"),
            ("sys/fs/cgroup/system.slice/a.service/memory.current", "4096\n"),
            ("sys/fs/cgroup/system.slice/a.service/memory.max", "max\n"),
            ("sys/fs/cgroup/system.slice/a.service/memory.high", "8192\n"),
            ("sys/fs/cgroup/memory.current", "1\n"),
        ]);
        let found = [7, 8, 9, 10, 11]
            .into_iter()
            .filter_map(|pid| group_of(&host, pid));
        let groups = groups(&host, found);
        assert_eq!(groups.len(), 1);
        let sizes = &groups[0].sizes;
        assert_eq!(groups[0].path, "/system.slice/a.service");
        assert_eq!(
            (sizes.used_bytes.value(), sizes.high_bytes.value()),
            (Some(4096), Some(8192))
        );
        assert_eq!(sizes.limit_bytes.reason(), Some("no limit is set"));
        assert_eq!(sizes.peak_bytes.reason(), Some("not in this kernel"));
    }

    #[test]
    fn groups_of_version_1_are_read_at_their_mount() {
        let (_folder, host) = copy(&[
            ("proc/7/cgroup", "4:memory:/docker/1\n0::/x\n"),
            ("sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes", "4096\n"),
            ("sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "1048576\n"),
        ]);
        let groups = groups(&host, group_of(&host, 7).into_iter());
        assert_eq!(groups[0].sizes.limit_bytes, Figure::Known(1 << 20));
    }

    #[test]
    fn shares_of_pressure_are_parts_of_one() {
        let (_folder, host) = copy(&[
            ("proc/meminfo", "MemTotal: 8 kB\n"),
            (
                "proc/pressure/memory",
                "some avg10=1.50 avg60=0.00 avg300=100.00 total=12\n",
            ),
        ]);
        let machine = machine(&host);
        assert_eq!(machine.sizes.memory_bytes, Figure::Known(8192));
        assert_eq!(machine.sizes.available_bytes.reason(), Some("not in this kernel"));
        let lines = machine.pressure.unwrap();
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].tasks, lines[0].total_ns), ("some", 12_000));
        assert!((lines[0].last_10_seconds_share - 0.015).abs() < 1e-12);
        assert!((lines[0].last_300_seconds_share - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_machine_that_says_nothing_has_reasons() {
        let (_folder, host) = copy(&[]);
        let machine = machine(&host);
        assert!(
            machine
                .sizes
                .each()
                .all(|(_, figure)| figure.reason() == Some("not in this kernel"))
        );
        assert_eq!(machine.no_pressure.as_deref(), Some("not in this kernel"));
    }
}
