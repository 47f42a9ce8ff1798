//! Settings of the whole machine: `/proc/sys`, `/sys`, control groups.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::parse::{self, Bound, GroupVersion, Groups, MemoryGroup};
use crate::{Reading, Reason};

/// The files of a machine: the running one's, or a recorded copy in tests.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
}

/// The limits of a memory control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMemory {
    /// The group.
    pub group: MemoryGroup,
    /// `memory.max` or `memory.limit_in_bytes`.
    pub limit: Reading<Bound>,
    /// `memory.high`; version 1 has none.
    pub high: Reading<Bound>,
    /// `memory.current` or `memory.usage_in_bytes`.
    pub used_bytes: Reading<u64>,
}

impl Default for Host {
    fn default() -> Host {
        Host {
            root: PathBuf::from("/"),
        }
    }
}

impl Host {
    /// A copy under `root`.
    #[must_use]
    pub fn recorded(root: impl Into<PathBuf>) -> Host {
        Host { root: root.into() }
    }

    /// What a file says, without the blanks around it.
    pub fn text(&self, path: &str) -> Reading<String> {
        self.bytes(path)
            .map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    pub(super) fn bytes(&self, path: &str) -> Reading<Vec<u8>> {
        match fs::read(self.path(path)) {
            Ok(bytes) => Reading::Value(bytes),
            Err(error) => missing(&error),
        }
    }

    /// A file that is one number.
    pub fn number(&self, path: &str) -> Reading<u64> {
        self.text(path).and_then(|text| match text.parse() {
            Ok(number) => Reading::Value(number),
            Err(_) => Reading::Absent(Reason::Malformed),
        })
    }

    /// The word in brackets of a file such as `always [madvise] never`.
    pub fn chosen(&self, path: &str) -> Reading<String> {
        self.text(path).and_then(|text| {
            let chosen = text
                .split_once('[')
                .and_then(|(_, rest)| rest.split_once(']'))
                .map(|(word, _)| word.to_owned());
            chosen.map_or(Reading::Absent(Reason::Malformed), Reading::Value)
        })
    }

    /// Whether there is such a file.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.root.join(path.trim_start_matches('/')).exists()
    }

    /// Nanoseconds since the machine was started, those asleep included (`/proc/uptime`; the kernel gives
    /// hundredths of a second).
    pub fn uptime_ns(&self) -> Reading<u64> {
        self.bytes("/proc/uptime").and_then(|bytes| {
            parse::uptime_ns(&bytes).map_or(Reading::Absent(Reason::Malformed), Reading::Value)
        })
    }

    /// When the machine was started, in seconds since 1970 (`btime` of `/proc/stat`).
    pub fn boot_time_seconds(&self) -> Reading<u64> {
        self.bytes("/proc/stat")
            .and_then(|bytes| parse::boot_time_seconds(&bytes).into())
    }

    /// The memory group of this process. `Absent(NotInThisKernel)`: its memory is counted in none, or the
    /// group's files are not mounted where they usually are.
    pub fn memory_group(&self) -> Reading<GroupMemory> {
        self.group_folder().map(|(group, folder)| {
            let (limit, used) = group_files(group.version);
            let bound = |file: &str| {
                let text = self.text(&format!("{folder}/{file}"));
                text.and_then(|text| {
                    Bound::parse(text.as_bytes()).map_or(Reading::Absent(Reason::Malformed), Reading::Value)
                })
            };
            GroupMemory {
                limit: bound(limit),
                high: bound("memory.high"),
                used_bytes: self.number(&format!("{folder}/{used}")),
                group,
            }
        })
    }

    /// The memory group of this process and the folder with its files.
    pub(super) fn group_folder(&self) -> Reading<(MemoryGroup, String)> {
        self.text("/proc/self/cgroup").and_then(|text| {
            let Some(group) = Groups::parse(text.as_bytes()).memory else {
                return Reading::Absent(Reason::NotInThisKernel);
            };
            let mount = match group.version {
                GroupVersion::V2 => "/sys/fs/cgroup",
                GroupVersion::V1 => "/sys/fs/cgroup/memory",
            };
            let (limit, used) = group_files(group.version);
            // In a container the path is often that of the host, and the group is mounted as the root.
            let own = format!("{mount}/{}", group.path.trim_start_matches('/'));
            let there = |folder: &String| {
                self.has(&format!("{folder}/{limit}")) || self.has(&format!("{folder}/{used}"))
            };
            let found = [own, mount.to_owned()].into_iter().find(there);
            found.map_or(Reading::Absent(Reason::NotInThisKernel), |folder| {
                Reading::Value((group, folder))
            })
        })
    }

    /// A file of the machine by its path.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(Path::new(path.trim_start_matches('/')))
    }
}

/// The files with the limit and with what is used.
fn group_files(version: GroupVersion) -> (&'static str, &'static str) {
    match version {
        GroupVersion::V2 => ("memory.max", "memory.current"),
        GroupVersion::V1 => ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    }
}

pub(super) fn missing<T>(error: &io::Error) -> Reading<T> {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Reading::Denied,
        io::ErrorKind::NotFound => Reading::Absent(Reason::NotInThisKernel),
        _ => Reading::Absent(Reason::Failed(error.raw_os_error().unwrap_or(0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Copy(PathBuf);

    impl Copy {
        fn new(test: &str, files: &[(&str, &str)]) -> Copy {
            let root = std::env::temp_dir().join(format!("neap-host-{test}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Copy(root)
        }
    }

    impl Drop for Copy {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn settings_are_values_or_have_reasons() {
        let copy = Copy::new(
            "settings",
            &[
                ("proc/sys/vm/overcommit_memory", "2\n"),
                (
                    "sys/kernel/mm/transparent_hugepage/enabled",
                    "always [madvise] never\n",
                ),
            ],
        );
        let host = Host::recorded(&copy.0);
        assert_eq!(host.number("/proc/sys/vm/overcommit_memory"), Reading::Value(2));
        let pages = "/sys/kernel/mm/transparent_hugepage/enabled";
        assert_eq!(host.chosen(pages), Reading::Value("madvise".to_owned()));
        assert_eq!(host.number(pages), Reading::Absent(Reason::Malformed));
        assert_eq!(
            host.number("/proc/sys/vm/none"),
            Reading::Absent(Reason::NotInThisKernel)
        );
    }

    #[test]
    fn the_start_of_the_machine_is_known() {
        let copy = Copy::new(
            "start",
            &[
                ("proc/uptime", "350735.47 234388.90\n"),
                ("proc/stat", "cpu  1 2 3\nctxt 5\nbtime 1700000000\nprocesses 7\n"),
            ],
        );
        let host = Host::recorded(&copy.0);
        assert_eq!(host.uptime_ns(), Reading::Value(350_735_470_000_000));
        assert_eq!(host.boot_time_seconds(), Reading::Value(1_700_000_000));
        assert!(Host::default().uptime_ns().value() > Some(0));
        assert!(Host::default().boot_time_seconds().value() > Some(1_000_000_000));
    }

    #[test]
    fn a_group_of_version_2_has_its_limits() {
        let copy = Copy::new(
            "v2",
            &[
                ("proc/self/cgroup", "0::/box\n"),
                ("sys/fs/cgroup/box/memory.max", "1048576\n"),
                ("sys/fs/cgroup/box/memory.high", "max\n"),
                ("sys/fs/cgroup/box/memory.current", "4096\n"),
            ],
        );
        let memory = Host::recorded(&copy.0).memory_group().value().unwrap();
        assert_eq!(memory.limit, Reading::Value(Bound::At(1_048_576)));
        assert_eq!(memory.high, Reading::Value(Bound::Unlimited));
        assert_eq!(memory.used_bytes, Reading::Value(4096));
    }

    #[test]
    fn in_a_container_the_group_is_the_mounts_root() {
        let copy = Copy::new(
            "v1",
            &[
                ("proc/self/cgroup", "4:memory:/docker/abc\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1048576\n"),
                ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n"),
            ],
        );
        let memory = Host::recorded(&copy.0).memory_group().value().unwrap();
        assert_eq!(memory.limit, Reading::Value(Bound::At(1_048_576)));
        assert_eq!(memory.high, Reading::Absent(Reason::NotInThisKernel));
        assert_eq!(
            Host::recorded("/nowhere").memory_group(),
            Reading::Absent(Reason::NotInThisKernel)
        );
    }
}
