//! Values written back in the form that the kernel has for them, as far as a value remembers it.
//!
//! Columns are not padded: texts are compared by their words.

use std::fmt::Write as _;

use super::process::name;
use neap_proc::parse::{
    Bound, BuddyInfo, Counters, GroupVersion, Limit, Limits, Mapping, Maps, Meminfo, MemoryGroup,
    NodeMeminfo, Permissions, Pressure, Smaps, SmapsEntry, Stalled, Stat, State, Statm, Swaps,
};

/// `/proc/PID/maps`.
#[must_use]
pub fn maps(maps: &Maps) -> String {
    maps.mappings.iter().map(mapping).collect()
}

fn mapping(map: &Mapping) -> String {
    let permissions = Permissions {
        read: map.read,
        write: map.write,
        execute: map.execute,
        shared: map.shared,
    };
    let at = (map.start, map.end, map.offset, map.device, map.inode);
    header(permissions, at, &name(&map.name))
}

type Place = (u64, u64, u64, (u64, u64), u64);

fn header(permissions: Permissions, at: Place, name: &str) -> String {
    let (start, end, offset, (major, minor), inode) = at;
    let letter = |is_set: bool, letter: char| if is_set { letter } else { '-' };
    let letters: String = [
        letter(permissions.read, 'r'),
        letter(permissions.write, 'w'),
        letter(permissions.execute, 'x'),
        if permissions.shared { 's' } else { 'p' },
    ]
    .iter()
    .collect();
    format!("{start:08x}-{end:08x} {letters} {offset:08x} {major:02x}:{minor:02x} {inode} {name}\n")
}

/// `/proc/PID/smaps`.
#[must_use]
pub fn smaps(smaps: &Smaps) -> String {
    smaps
        .entries
        .iter()
        .map(|entry| smaps_entry(smaps, entry))
        .collect()
}

fn smaps_entry(smaps: &Smaps, entry: &SmapsEntry) -> String {
    let at = (entry.start, entry.end, entry.offset, entry.device, entry.inode);
    let mut text = header(entry.permissions, at, &name(smaps.name(entry.name)));
    text += &sizes(entry.sizes.iter().map(|(field, bytes)| (field.key(), bytes)));
    if let Some(eligible) = entry.thp_eligible {
        let _ = writeln!(text, "THPeligible: {}", u8::from(eligible));
    }
    if let Some(key) = entry.protection_key {
        let _ = writeln!(text, "ProtectionKey: {key}");
    }
    if let Some(flags) = entry.flags {
        let letters: Vec<&str> = flags.iter().map(|flag| flag.code()).collect();
        let _ = writeln!(text, "VmFlags: {}", letters.join(" "));
    }
    text
}

/// Lines `Key: n kB`.
pub fn sizes(sizes: impl Iterator<Item = (&'static str, u64)>) -> String {
    sizes
        .map(|(key, bytes)| format!("{key}: {} kB\n", bytes >> 10))
        .collect()
}

/// `/proc/PID/statm`.
#[must_use]
pub fn statm(statm: &Statm, page_bytes: u64) -> String {
    let pages = |bytes: u64| bytes.checked_div(page_bytes).unwrap_or(0);
    format!(
        "{} {} {} {} 0 {} 0\n",
        pages(statm.size_bytes),
        pages(statm.resident_bytes),
        pages(statm.shared_bytes),
        pages(statm.text_bytes),
        pages(statm.data_bytes)
    )
}

/// `/proc/PID/stat`, up to column 28; columns that a value does not keep are 0.
#[must_use]
pub fn stat(stat: &Stat) -> String {
    let state = match stat.state {
        State::Running => b'R',
        State::Sleeping => b'S',
        State::Waiting => b'D',
        State::Stopped => b'T',
        State::Zombie => b'Z',
        State::Dead => b'X',
        State::Other(letter) => letter,
    };
    let mut columns = vec!["0".to_owned(); 26];
    let kept = [
        (5, stat.pgrp.to_string()),
        (4, stat.ppid.to_string()),
        (10, stat.minor_faults.to_string()),
        (11, stat.children_minor_faults.to_string()),
        (12, stat.major_faults.to_string()),
        (13, stat.children_major_faults.to_string()),
        (14, stat.user_ticks.to_string()),
        (15, stat.system_ticks.to_string()),
        (20, stat.threads.to_string()),
        (22, stat.start_ticks.to_string()),
        (23, stat.size_bytes.to_string()),
        (24, stat.resident_pages.to_string()),
        (28, stat.stack_start.unwrap_or(0).to_string()),
    ];
    for (column, text) in kept {
        columns[column - 3] = text;
    }
    columns[0] = char::from(state).to_string();
    format!("{} ({}) {}\n", stat.pid, stat.comm, columns.join(" "))
}

/// `/proc/PID/limits`.
#[must_use]
pub fn limits(limits: &Limits) -> String {
    let rows = [
        ("Max data size", limits.data, "bytes"),
        ("Max stack size", limits.stack, "bytes"),
        ("Max processes", limits.processes, "processes"),
        ("Max open files", limits.open_files, "files"),
        ("Max locked memory", limits.locked, "bytes"),
        ("Max address space", limits.address_space, "bytes"),
    ];
    let bound = |bound: Bound| match bound {
        Bound::Unlimited => "unlimited".to_owned(),
        Bound::At(number) => number.to_string(),
    };
    let row = |(name, limit, unit): (&str, Option<Limit>, &str)| {
        Some(format!(
            "{name} {} {} {unit}\n",
            bound(limit?.soft),
            bound(limit?.hard)
        ))
    };
    rows.into_iter().filter_map(row).collect()
}

/// The line of `/proc/PID/cgroup` for memory.
#[must_use]
pub fn group(group: &MemoryGroup) -> String {
    match group.version {
        GroupVersion::V1 => format!("1:memory:{}\n", group.path),
        GroupVersion::V2 => format!("0::{}\n", group.path),
    }
}

/// `/proc/meminfo`, the counts of huge pages last.
#[must_use]
pub fn meminfo(info: &Meminfo) -> String {
    let mut text = sizes(info.sizes());
    let counts = [
        ("HugePages_Total", info.huge_pages_total),
        ("HugePages_Free", info.huge_pages_free),
        ("HugePages_Rsvd", info.huge_pages_reserved),
        ("HugePages_Surp", info.huge_pages_surplus),
    ];
    for (key, count) in counts {
        text += &count.map_or(String::new(), |count| format!("{key}: {count}\n"));
    }
    text
}

/// `meminfo` of a node.
#[must_use]
pub fn node_meminfo(info: &NodeMeminfo) -> String {
    let own = [("MemUsed", info.used_bytes), ("FilePages", info.file_pages_bytes)];
    let own = own.into_iter().filter_map(|(key, bytes)| Some((key, bytes?)));
    let node = info.node.unwrap_or(0);
    let text = sizes(own) + &meminfo(&info.shared);
    text.lines().map(|line| format!("Node {node} {line}\n")).collect()
}

/// `/proc/vmstat` and its like.
#[must_use]
pub fn counters(counters: &Counters) -> String {
    counters
        .iter()
        .map(|(name, number)| format!("{name} {number}\n"))
        .collect()
}

/// `/proc/pressure/memory`.
#[must_use]
pub fn pressure(pressure: &Pressure) -> String {
    let line = |name: &str, stalled: Option<Stalled>| {
        let stalled = stalled?;
        let share = |hundredths: u32| format!("{}.{:02}", hundredths / 100, hundredths % 100);
        Some(format!(
            "{name} avg10={} avg60={} avg300={} total={}\n",
            share(stalled.last_10_seconds),
            share(stalled.last_60_seconds),
            share(stalled.last_300_seconds),
            stalled.total_microseconds
        ))
    };
    [line("some", pressure.some), line("full", pressure.full)]
        .into_iter()
        .flatten()
        .collect()
}

/// `/proc/swaps` with its heading.
#[must_use]
pub fn swaps(swaps: &Swaps) -> String {
    let mut text = "Filename Type Size Used Priority\n".to_owned();
    for area in &swaps.areas {
        let path: String = area.path.chars().map(escaped).collect();
        let (size, used) = (area.size_bytes >> 10, area.used_bytes >> 10);
        let _ = writeln!(text, "{path} {} {size} {used} {}", area.kind, area.priority);
    }
    text
}

/// As seq_path(9) writes blanks, newlines and backslashes.
fn escaped(c: char) -> String {
    match c {
        '\\' => "\\134".to_owned(),
        c if c.is_ascii_whitespace() => format!("\\{:03o}", u32::from(c)),
        c => c.to_string(),
    }
}

/// `/proc/buddyinfo`.
#[must_use]
pub fn buddyinfo(info: &BuddyInfo) -> String {
    let mut text = String::new();
    for zone in &info.zones {
        let counts: Vec<String> = zone.free_blocks.iter().map(u64::to_string).collect();
        let _ = writeln!(
            text,
            "Node {}, zone {} {}",
            zone.node,
            zone.name,
            counts.join(" ")
        );
    }
    text
}
