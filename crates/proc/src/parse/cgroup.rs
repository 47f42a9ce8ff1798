//! `/proc/PID/cgroup`: the control groups of a process, of which only that for memory matters here.

/// Where the memory of a process is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryGroup {
    /// Which hierarchy.
    pub version: GroupVersion,
    /// Path below the hierarchy's mount.
    pub path: String,
}

/// The two kinds of control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupVersion {
    /// A hierarchy for the memory controller.
    V1,
    /// The unified hierarchy.
    V2,
}

impl MemoryGroup {
    /// `None`: the kernel counts the memory in no group. On a machine with both kinds the memory controller is
    /// in the first that names it.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<MemoryGroup> {
        let text = String::from_utf8_lossy(bytes);
        let mut unified = None;
        for line in text.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            if controllers.split(',').any(|name| name == "memory") {
                return Some(MemoryGroup {
                    version: GroupVersion::V1,
                    path: path.to_owned(),
                });
            }
            if number == "0" && controllers.is_empty() {
                unified = Some(MemoryGroup {
                    version: GroupVersion::V2,
                    path: path.to_owned(),
                });
            }
        }
        unified
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_controller_is_found_in_either_kind() {
        let v2 = MemoryGroup::parse(b"0::/user.slice/a:b\n").unwrap();
        assert_eq!(
            (v2.version, v2.path.as_str()),
            (GroupVersion::V2, "/user.slice/a:b")
        );
        let both = MemoryGroup::parse(b"5:cpu,cpuacct:/x\n4:memory:/docker/1\n0::/y\n").unwrap();
        assert_eq!(
            (both.version, both.path.as_str()),
            (GroupVersion::V1, "/docker/1")
        );
        assert_eq!(MemoryGroup::parse(b"3:cpu:/\nnonsense\n"), None);
    }
}
