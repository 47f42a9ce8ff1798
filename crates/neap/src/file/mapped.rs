//! Which processes map a file: what a mapping holds the kernel does not drop.
//!
//! One walk over `/proc` for all files that are asked about. A process whose maps may not be read is
//! counted; one that ends meanwhile is nobody. A file system may give its files other device numbers in
//! `/proc/PID/maps` than stat(2) does (overlayfs, btrfs): then the path in the map decides.

use std::collections::HashMap;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

use neap_proc::Reading;
use neap_proc::parse::{Mapping, Name, SmapsField};
use neap_proc::read::Proc;
use serde::Serialize;

use super::walk::Identity;

/// A process that maps a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    pub(crate) command: Option<String>,
    /// In its page tables; `None`: its smaps may not be read.
    pub(crate) resident_bytes: Option<u64>,
    /// By mlock(2).
    pub(crate) locked_bytes: Option<u64>,
}

/// Who maps what.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    pub(crate) by_file: HashMap<Identity, Vec<Holder>>,
    /// Processes whose maps may not be read.
    pub(crate) denied: u64,
}

/// Looks for every file in `files`, within these bytes of it, in every process but this one.
pub(crate) fn find(proc: &Proc, files: &HashMap<Identity, Range<u64>>) -> Holders {
    let mut holders = Holders::default();
    if files.is_empty() {
        return holders;
    }
    let mut by_inode: HashMap<u64, Vec<Identity>> = HashMap::new();
    for file in files.keys() {
        by_inode.entry(file.inode).or_default().push(*file);
    }
    for pid in proc.pids().value().unwrap_or_default() {
        if pid == std::process::id() {
            continue;
        }
        let maps = match proc.maps(pid) {
            Reading::Value(maps) => maps,
            Reading::Denied => {
                holders.denied += 1;
                continue;
            }
            Reading::Absent(_) => continue,
        };
        let mut found: Vec<Identity> = Vec::new();
        for mapping in maps.mappings.iter().filter(|mapping| mapping.inode != 0) {
            let candidates = by_inode.get(&mapping.inode).into_iter().flatten();
            found.extend(candidates.filter(|file| {
                let part = files.get(file).cloned().unwrap_or_default();
                let end = mapping
                    .offset
                    .saturating_add(mapping.end.saturating_sub(mapping.start));
                mapping.offset < part.end && part.start < end && is_of(pid, mapping, **file)
            }));
        }
        found.sort_unstable();
        found.dedup();
        for file in found {
            let holder = holder(proc, pid, file.inode);
            holders.by_file.entry(file).or_default().push(holder);
        }
    }
    for found in holders.by_file.values_mut() {
        found.sort_by_key(|holder| (std::cmp::Reverse(holder.resident_bytes), holder.pid));
    }
    holders
}

/// Whether a mapping with the file's inode is one of it.
fn is_of(pid: u32, mapping: &Mapping, file: Identity) -> bool {
    let (major, minor) = mapping.device;
    let device = u32::try_from(major).ok().zip(u32::try_from(minor).ok());
    if device.is_some_and(|(major, minor)| rustix::fs::makedev(major, minor) == file.device) {
        return true;
    }
    let Name::File { path, deleted: false } = &mapping.name else {
        return false;
    };
    let about = std::fs::metadata(format!("/proc/{pid}/root{path}"));
    about.is_ok_and(|about| (about.dev(), about.ino()) == (file.device, file.inode))
}

fn holder(proc: &Proc, pid: u32, inode: u64) -> Holder {
    let sum = |field| {
        let smaps = proc.smaps(pid).value()?;
        let entries = smaps.entries.iter().filter(|entry| entry.inode == inode);
        entries.map(|entry| entry.sizes.get(field)).sum::<Option<u64>>()
    };
    Holder {
        pid,
        command: proc.stat(pid).value().map(|stat| stat.comm),
        resident_bytes: sum(SmapsField::Rss),
        locked_bytes: sum(SmapsField::Locked),
    }
}
