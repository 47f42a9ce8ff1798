//! `/proc/PID/cgroup`: the control groups of a process, of which only that for memory matters here.

use super::lines;

/// What the file says about memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// `None`: the kernel counts the memory in no group.
    pub memory: Option<MemoryGroup>,
    /// Lines that are no hierarchy with its controllers and a path.
    pub unknown_lines: usize,
}

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

impl Groups {
    /// On a machine with both kinds the memory controller is in the first hierarchy that names it.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Groups {
        let mut groups = Groups::default();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match hierarchy(line) {
                None => groups.unknown_lines += 1,
                Some(Some(group))
                    if groups
                        .memory
                        .as_ref()
                        .is_none_or(|known| known.version == GroupVersion::V2) =>
                {
                    groups.memory = Some(group);
                }
                Some(_) => {}
            }
        }
        groups
    }
}

/// The group of one line, if it may be that of memory; `None` for a line of another form.
fn hierarchy(line: &[u8]) -> Option<Option<MemoryGroup>> {
    let mut parts = line.splitn(3, |&byte| byte == b':');
    let number = lines::number(parts.next()?)?;
    let controllers = parts.next()?;
    let path = parts.next().filter(|path| path.starts_with(b"/"))?;
    let names_memory = controllers
        .split(|&byte| byte == b',')
        .any(|name| name == b"memory");
    let version = match (number, controllers) {
        _ if names_memory => GroupVersion::V1,
        (0, b"") => GroupVersion::V2,
        _ => return Some(None),
    };
    Some(Some(MemoryGroup {
        version,
        path: String::from_utf8_lossy(path).into_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(text: &[u8]) -> (GroupVersion, String) {
        let group = Groups::parse(text).memory.unwrap();
        (group.version, group.path)
    }

    #[test]
    fn the_memory_controller_is_found_in_either_kind() {
        let v2 = memory(b"0::/user.slice/a:b\n");
        assert_eq!(v2, (GroupVersion::V2, "/user.slice/a:b".to_owned()));
        for both in [
            &b"5:cpu,cpuacct:/x\n4:memory:/docker/1\n0::/y\n"[..],
            b"0::/y\n4:memory:/docker/1\n3:memory:/z\n",
        ] {
            assert_eq!(memory(both), (GroupVersion::V1, "/docker/1".to_owned()));
        }
    }

    #[test]
    fn lines_of_another_form_are_counted() {
        let groups = Groups::parse(b"3:cpu:/\nnonsense\n0::\nx::/y\n1:memory\n");
        assert_eq!((groups.memory, groups.unknown_lines), (None, 4));
    }

    #[test]
    fn recorded_machines_have_a_group_each() {
        let v1 = Groups::parse(include_bytes!("../../tests/fixtures/linux-6.18/proc/self/cgroup"));
        let v2 = Groups::parse(include_bytes!("../../tests/fixtures/linux-6.1/proc/self/cgroup"));
        assert_eq!((v1.unknown_lines, v2.unknown_lines), (0, 0));
        assert_eq!(v1.memory.unwrap().version, GroupVersion::V1);
        assert_eq!(v2.memory.unwrap().version, GroupVersion::V2);
    }
}
