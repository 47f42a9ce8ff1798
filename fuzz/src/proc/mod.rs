//! The parsers of `/proc`, one target for each: whatever a file says, they neither panic nor contradict
//! themselves.
//!
//! Where a value can be written back ([`render`]), the text of it is parsed to the same value again: nothing
//! that a parser takes gets lost or grows. What it does not take is counted, at most once a line.

use crate::Target;

pub mod machine;
pub mod process;
pub mod render;

/// Every parser of a text or of words.
pub const TARGETS: [Target; 21] = [
    ("maps", process::maps),
    ("smaps", process::smaps),
    ("smaps_rollup", process::smaps_rollup),
    ("statm", process::statm),
    ("stat", process::stat),
    ("status", process::status),
    ("limits", process::limits),
    ("numa_maps", process::numa_maps),
    ("pagemap", process::pagemap),
    ("children", process::children),
    ("cgroup", process::cgroup),
    ("meminfo", machine::meminfo),
    ("node_meminfo", machine::node_meminfo),
    ("counters", machine::counters),
    ("pressure", machine::pressure),
    ("swaps", machine::swaps),
    ("zram", machine::zram),
    ("choice", machine::choice),
    ("buddyinfo", machine::buddyinfo),
    ("kpageflags", machine::kpageflags),
    ("boot", machine::boot),
];

/// Lines that hold anything.
fn lines(text: &[u8]) -> usize {
    let lines = text.split(|&byte| byte == b'\n');
    lines.filter(|line| !line.is_empty()).count()
}

/// What is counted as unknown and what was read are lines of the text, none of them twice.
fn bounded(text: &[u8], read: usize, unknown: usize) {
    let lines = lines(text);
    assert!(
        read + unknown <= lines,
        "{read} read, {unknown} unknown, {lines} lines"
    );
}
