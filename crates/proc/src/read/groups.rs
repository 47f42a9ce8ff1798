//! The memory groups that this process is in, from its own up to the mount's root: any of them may be the one
//! that ends it.
//!
//! A group's limit holds for all below it, so the room that is left is the least of all levels. Each figure
//! is read once and on its own: between two files the group goes on. What lies above the mount (in a
//! container, the host's groups) is not seen. Sources: Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst.

use super::Host;
use crate::parse::{Bound, Counters, GroupVersion};
use crate::{Reading, Reason};

/// One level. Version 1 writes "no limit" as the largest multiple of a page; it comes out as
/// [`Bound::Unlimited`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLevel {
    /// Path below the mount: `/` for its root.
    pub path: String,
    /// Which hierarchy.
    pub version: GroupVersion,
    /// `memory.current`, `memory.usage_in_bytes`.
    pub used_bytes: Reading<u64>,
    /// `memory.max`, `memory.limit_in_bytes`: above it the kernel takes back, then kills.
    pub limit: Reading<Bound>,
    /// `memory.high`: above it the group is slowed down. Version 1 has none.
    pub high: Reading<Bound>,
    /// `memory.low`: below it memory is taken last. Version 1 has none.
    pub low: Reading<Bound>,
    /// `memory.swap.current`; in version 1 what `memory.memsw.usage_in_bytes` is above the memory.
    pub swap_used_bytes: Reading<u64>,
    /// `memory.swap.max`; in version 1 `memory.memsw.limit_in_bytes`, which bounds memory and swap together.
    pub swap_limit: Reading<Bound>,
    /// `memory.events`, `memory.oom_control`.
    pub events: Reading<Counters>,
    /// `memory.failcnt` of version 1: how often the limit was hit.
    pub limit_hits: Reading<u64>,
}

impl GroupLevel {
    /// What is left below the limit; `None` where there is no limit or a figure is missing.
    #[must_use]
    pub fn room_bytes(&self) -> Option<u64> {
        match (&self.limit, &self.used_bytes) {
            (Reading::Value(Bound::At(limit)), Reading::Value(used)) => Some(limit.saturating_sub(*used)),
            _ => None,
        }
    }
}

impl Host {
    /// The groups of this process, its own first. `Absent(NotInThisKernel)`: its memory is counted in none,
    /// or the files are not mounted where they usually are.
    pub fn groups(&self) -> Reading<Vec<GroupLevel>> {
        self.group_folder().map(|(group, folder)| {
            let mount = match group.version {
                GroupVersion::V2 => "/sys/fs/cgroup",
                GroupVersion::V1 => "/sys/fs/cgroup/memory",
            };
            let mut path = folder.strip_prefix(mount).unwrap_or("").trim_end_matches('/');
            let mut levels = Vec::new();
            loop {
                let level = self.level(group.version, &format!("{mount}{path}"), path);
                let nothing = Reading::Absent(Reason::NotInThisKernel);
                // The root of version 2, unless it is a container's, has neither file and bounds nothing.
                if level.used_bytes != nothing || level.limit.as_value().is_some() {
                    levels.push(level);
                }
                match path.rsplit_once('/') {
                    Some((parent, _)) => path = parent,
                    None => return levels,
                }
            }
        })
    }

    fn level(&self, version: GroupVersion, folder: &str, path: &str) -> GroupLevel {
        let number = |file: &str| self.number(&format!("{folder}/{file}"));
        let bound = |file: &str| self.bound(version, &format!("{folder}/{file}"));
        let path = if path.is_empty() { "/" } else { path }.to_owned();
        match version {
            GroupVersion::V2 => GroupLevel {
                path,
                version,
                used_bytes: number("memory.current"),
                limit: bound("memory.max"),
                high: bound("memory.high"),
                low: bound("memory.low"),
                swap_used_bytes: number("memory.swap.current"),
                swap_limit: bound("memory.swap.max"),
                events: self.counters(&format!("{folder}/memory.events")),
                limit_hits: Reading::Absent(Reason::NotInThisKernel),
            },
            GroupVersion::V1 => {
                let used_bytes = number("memory.usage_in_bytes");
                let with_swap = number("memory.memsw.usage_in_bytes");
                GroupLevel {
                    path,
                    version,
                    limit: bound("memory.limit_in_bytes"),
                    high: Reading::Absent(Reason::NotInThisKernel),
                    low: Reading::Absent(Reason::NotInThisKernel),
                    swap_used_bytes: with_swap
                        .and_then(|both| used_bytes.map(|memory| both.saturating_sub(memory))),
                    used_bytes,
                    swap_limit: bound("memory.memsw.limit_in_bytes"),
                    events: self.counters(&format!("{folder}/memory.oom_control")),
                    limit_hits: number("memory.failcnt"),
                }
            }
        }
    }

    fn bound(&self, version: GroupVersion, path: &str) -> Reading<Bound> {
        /// No machine has as much: what version 1 writes for none is just below 2^63.
        const NO_LIMIT_BYTES: u64 = 1 << 62;
        self.text(path)
            .and_then(|text| match Bound::parse(text.as_bytes()) {
                Some(Bound::At(bytes)) if version == GroupVersion::V1 && bytes >= NO_LIMIT_BYTES => {
                    Reading::Value(Bound::Unlimited)
                }
                Some(bound) => Reading::Value(bound),
                None => Reading::Absent(Reason::Malformed),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(test: &str, files: &[(&str, &str)]) -> (Host, std::path::PathBuf) {
        let root = std::env::temp_dir().join(format!("neap-groups-{test}-{}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        (Host::recorded(&root), root)
    }

    #[test]
    fn every_level_of_version_2_is_read_up_to_the_mount() {
        let (host, root) = machine(
            "v2",
            &[
                ("proc/self/cgroup", "0::/outer/inner\n"),
                ("sys/fs/cgroup/outer/inner/memory.current", "1000\n"),
                ("sys/fs/cgroup/outer/inner/memory.max", "max\n"),
                ("sys/fs/cgroup/outer/memory.current", "5000\n"),
                ("sys/fs/cgroup/outer/memory.max", "6000\n"),
                ("sys/fs/cgroup/outer/memory.events", "oom 2\n"),
            ],
        );
        let levels = host.groups().value().unwrap();
        std::fs::remove_dir_all(root).unwrap();
        let paths: Vec<&str> = levels.iter().map(|level| level.path.as_str()).collect();
        assert_eq!(paths, ["/outer/inner", "/outer"], "the root bounds nothing");
        let rooms: Vec<_> = levels.iter().map(GroupLevel::room_bytes).collect();
        assert_eq!(rooms, [None, Some(1000)]);
        assert_eq!(levels[1].events.as_value().unwrap().get("oom"), Some(2));
        assert_eq!(levels[0].events, Reading::Absent(Reason::NotInThisKernel));
    }

    #[test]
    fn version_1_writes_no_limit_as_a_number() {
        let (host, root) = machine(
            "v1",
            &[
                ("proc/self/cgroup", "4:memory:/a\n"),
                ("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "4096\n"),
                (
                    "sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                    "9223372036854771712\n",
                ),
                ("sys/fs/cgroup/memory/a/memory.memsw.usage_in_bytes", "12288\n"),
                ("sys/fs/cgroup/memory/memory.usage_in_bytes", "8192\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "10000\n"),
            ],
        );
        let levels = host.groups().value().unwrap();
        std::fs::remove_dir_all(root).unwrap();
        assert_eq!(levels[0].limit, Reading::Value(Bound::Unlimited));
        assert_eq!(levels[0].swap_used_bytes, Reading::Value(8192));
        assert_eq!(
            (levels.len(), levels[1].path.as_str(), levels[1].room_bytes()),
            (2, "/", Some(1808))
        );
    }
}
