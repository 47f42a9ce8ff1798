//! The descendants of a process.

use std::collections::{HashMap, HashSet};

use crate::Reading;
use crate::read::Proc;

/// One descendant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its pid.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
}

/// Where the parents came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `/proc/PID/task/*/children`.
    Children,
    /// The parent in every `/proc/PID/stat`: the whole system is read, for kernels without the former.
    Scan,
}

/// Every descendant of `root`, parents before their children, without `root`.
///
/// A process that forks while the tree is walked may be missed; the next walk finds it.
pub fn descendants(proc: &Proc, root: u32) -> (Vec<Member>, Source) {
    if let Reading::Value(first) = proc.children(root) {
        let walked = walk(root, first, |pid| proc.children(pid).value().unwrap_or_default());
        return (walked, Source::Children);
    }
    let mut by_parent: HashMap<u32, Vec<u32>> = HashMap::new();
    for pid in proc.pids().value().unwrap_or_default() {
        if let Reading::Value(stat) = proc.stat(pid) {
            by_parent.entry(stat.ppid).or_default().push(pid);
        }
    }
    let first = by_parent.remove(&root).unwrap_or_default();
    (
        walk(root, first, |pid| by_parent.remove(&pid).unwrap_or_default()),
        Source::Scan,
    )
}

fn walk(root: u32, first: Vec<u32>, mut children: impl FnMut(u32) -> Vec<u32>) -> Vec<Member> {
    let mut members: Vec<Member> = first
        .into_iter()
        .map(|pid| Member { pid, parent: root })
        .collect();
    // Pids are reused while the walk goes on, so a pid may turn up twice; a loop must not.
    let mut seen: HashSet<u32> = members.iter().map(|member| member.pid).collect();
    seen.insert(root);
    let mut next = 0;
    while let Some(&Member { pid: parent, .. }) = members.get(next) {
        let found = children(parent).into_iter().filter(|pid| seen.insert(*pid));
        members.extend(found.map(|pid| Member { pid, parent }));
        next += 1;
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_before_children_and_a_loop_ends() {
        let children = |pid| match pid {
            1 => vec![2, 3],
            3 => vec![4, 1],
            4 => vec![3],
            _ => vec![],
        };
        let members = walk(1, children(1), children);
        let pairs: Vec<(u32, u32)> = members.iter().map(|m| (m.parent, m.pid)).collect();
        assert_eq!(pairs, [(1, 2), (1, 3), (3, 4)]);
    }

    #[test]
    fn a_real_child_is_found() {
        let mut child = std::process::Command::new("sleep").arg("10").spawn().unwrap();
        let (members, _) = descendants(&Proc::default(), std::process::id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(members.iter().any(|member| member.pid == child.id()));
    }

    #[test]
    fn without_children_files_the_scan_finds_them() {
        let root = std::env::temp_dir().join(format!("neap-tree-{}", std::process::id()));
        for (pid, parent) in [(10, 1), (11, 10), (12, 11), (13, 1)] {
            let folder = root.join(pid.to_string());
            std::fs::create_dir_all(folder.join("task").join(pid.to_string())).unwrap();
            let row = format!("{pid} (x) S {parent} 1 1 0 0 0 1 0 0 0 1 1 0 0 20 0 1 0 5 4096 1\n");
            std::fs::write(folder.join("stat"), row).unwrap();
        }
        let (members, source) = descendants(&Proc::recorded(&root, 4096), 10);
        assert_eq!(source, Source::Scan);
        assert_eq!(
            members,
            [Member { pid: 11, parent: 10 }, Member { pid: 12, parent: 11 }]
        );
        std::fs::remove_dir_all(root).unwrap();
    }
}
