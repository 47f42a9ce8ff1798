//! Recorded files written back from what was read of them: the same words in the same lines.

use std::fs;

use neap_fuzz::proc::render;
use neap_proc::parse::{
    BuddyInfo, Counters, Groups, Maps, Meminfo, NodeMeminfo, Pressure, Smaps, SmapsRollup, Statm, Swaps,
};

fn recorded(path: &str) -> Vec<u8> {
    let path = format!(
        "{}/../crates/proc/tests/fixtures/{path}",
        env!("CARGO_MANIFEST_DIR")
    );
    fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The words of every line, in order.
fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}

fn same(path: &str, render: impl Fn(&[u8]) -> String) {
    let bytes = recorded(path);
    let text = String::from_utf8(bytes.clone()).expect("a text");
    assert_eq!(words(&render(&bytes)), words(&text), "{path}");
}

/// As [`same`], whatever the order of the lines.
fn same_lines(path: &str, render: impl Fn(&[u8]) -> String) {
    let bytes = recorded(path);
    let text = String::from_utf8(bytes.clone()).expect("a text");
    let rendered = render(&bytes);
    let (mut one, mut other) = (words(&rendered), words(&text));
    one.sort();
    other.sort();
    assert_eq!(one, other, "{path}");
}

#[test]
fn mappings_keep_every_word() {
    for path in [
        "linux-6.18/proc/4712/maps",
        "linux-6.1/proc/900/maps",
        "linux-5.10/proc/900/maps",
    ] {
        same(path, |bytes| render::maps(&Maps::parse(bytes)));
    }
    for path in ["linux-6.18/proc/4711/smaps", "linux-6.1/proc/900/smaps"] {
        same_lines(path, |bytes| render::smaps(&Smaps::parse(bytes)));
    }
}

#[test]
fn sums_and_counts_keep_every_word() {
    let header = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.lines().next().unwrap_or_default().to_owned() + "\n"
    };
    for path in [
        "linux-6.18/proc/4712/smaps_rollup",
        "linux-5.10/proc/900/smaps_rollup",
    ] {
        same(path, |bytes| {
            header(bytes) + &render::sizes(SmapsRollup::parse(bytes).sizes())
        });
    }
    for kernel in ["linux-6.18", "linux-6.1", "linux-5.10", "linux-4.4"] {
        same_lines(&format!("{kernel}/proc/meminfo"), |bytes| {
            render::meminfo(&Meminfo::parse(bytes))
        });
    }
    for path in [
        "linux-6.18/sys/devices/system/node/node0/meminfo",
        "linux-4.4/sys/devices/system/node/node1/meminfo",
    ] {
        same_lines(path, |bytes| render::node_meminfo(&NodeMeminfo::parse(bytes)));
    }
    for path in [
        "linux-6.18/proc/vmstat",
        "linux-6.18/sys/fs/cgroup/memory/memory.stat",
        "linux-6.1/sys/fs/cgroup/box/memory.events",
    ] {
        same_lines(path, |bytes| render::counters(&Counters::parse(bytes)));
    }
}

#[test]
fn rows_keep_every_word() {
    same("linux-6.18/proc/buddyinfo", |bytes| {
        render::buddyinfo(&BuddyInfo::parse(bytes))
    });
    same("linux-6.1/proc/pressure/memory", |bytes| {
        render::pressure(&Pressure::parse(bytes))
    });
    same("linux-6.1/proc/swaps", |bytes| {
        render::swaps(&Swaps::parse(bytes))
    });
    same("linux-6.18/proc/4712/statm", |bytes| {
        render::statm(&Statm::parse(bytes, 4096).expect("a row"), 4096)
    });
    same("linux-6.1/proc/self/cgroup", |bytes| {
        render::group(&Groups::parse(bytes).memory.expect("a group"))
    });
}
