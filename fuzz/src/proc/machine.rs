//! The files of the machine.

use super::{bounded, render};
use neap_proc::parse::{
    BuddyInfo, Choice, Counters, Meminfo, NodeMeminfo, PageFlags, Pressure, Swaps, ZramMemory,
    boot_time_seconds, uptime_ns,
};

/// `/proc/meminfo`.
pub fn meminfo(text: &[u8]) {
    let info = Meminfo::parse(text);
    bounded(text, 0, info.unknown_lines);
    let _ = (info.used_bytes(), info.cache_bytes(), info.swap_used_bytes());
    let again = Meminfo::parse(render::meminfo(&info).as_bytes());
    assert_eq!(
        again,
        Meminfo {
            unknown_lines: 0,
            ..info
        }
    );
}

/// `meminfo` of a node.
pub fn node_meminfo(text: &[u8]) {
    let mut info = NodeMeminfo::parse(text);
    bounded(text, 0, info.shared.unknown_lines);
    info.shared.unknown_lines = 0;
    let again = NodeMeminfo::parse(render::node_meminfo(&info).as_bytes());
    // A node of which no line could be read has a number, and nothing that could be written.
    if again.node.is_some() {
        assert_eq!(again, info);
    }
}

/// `/proc/vmstat`, `memory.stat`, `memory.events`, `numastat`.
pub fn counters(text: &[u8]) {
    let counters = Counters::parse(text);
    bounded(text, counters.iter().count(), counters.unknown_lines);
    for (name, number) in counters.iter() {
        assert_eq!(counters.get(name), Some(number), "{name} is not found");
        assert!(
            counters.sum(&[name, name]) >= Some(number),
            "{name} twice is less than once"
        );
    }
    let mut again = Counters::parse(render::counters(&counters).as_bytes());
    assert_eq!(again.unknown_lines, 0);
    again.unknown_lines = counters.unknown_lines;
    assert_eq!(again, counters);
}

/// `/proc/pressure/memory` and `memory.pressure`.
pub fn pressure(text: &[u8]) {
    let pressure = Pressure::parse(text);
    let read = [pressure.some, pressure.full].iter().flatten().count();
    bounded(text, read, pressure.unknown_lines);
    let again = Pressure::parse(render::pressure(&pressure).as_bytes());
    assert_eq!(
        again,
        Pressure {
            unknown_lines: 0,
            ..pressure
        }
    );
}

/// `/proc/swaps`.
pub fn swaps(text: &[u8]) {
    let swaps = Swaps::parse(text);
    bounded(text, swaps.areas.len(), swaps.unknown_lines);
    let again = Swaps::parse(render::swaps(&swaps).as_bytes());
    assert_eq!(
        again,
        Swaps {
            unknown_lines: 0,
            ..swaps
        }
    );
}

/// `mm_stat` of a zram device.
pub fn zram(text: &[u8]) {
    if let Ok(zram) = ZramMemory::parse(text) {
        assert!(
            zram.huge_pages.is_some() || zram.huge_pages_ever.is_none(),
            "a column before is missing"
        );
    }
}

/// A setting with one word in brackets.
pub fn choice(text: &[u8]) {
    let Some(choice) = Choice::parse(text) else { return };
    assert!(choice.offered.contains(&choice.chosen));
    let words = text
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    assert_eq!(choice.offered.len(), words.count());
}

/// `/proc/buddyinfo`.
pub fn buddyinfo(text: &[u8]) {
    let info = BuddyInfo::parse(text);
    bounded(text, info.zones.len(), info.unknown_lines);
    let by_order: Vec<u64> = (0..70).map(|order| info.free_pages_from(order)).collect();
    assert!(
        by_order.is_sorted_by(|more, less| more >= less),
        "larger blocks are fewer pages"
    );
    let again = BuddyInfo::parse(render::buddyinfo(&info).as_bytes());
    assert_eq!(
        again,
        BuddyInfo {
            unknown_lines: 0,
            ..info
        }
    );
}

/// `/proc/kpageflags`: words of bits.
pub fn kpageflags(bytes: &[u8]) {
    let mut words = 0;
    for flags in PageFlags::parse(bytes) {
        words += 1;
        let named = u32::try_from(flags.names().count()).unwrap_or(u32::MAX);
        assert_eq!(named + flags.unknown_bits().count_ones(), flags.0.count_ones());
        assert!(flags.names().all(|name| flags.has(name) == Some(true)));
    }
    assert_eq!(words, bytes.len() / 8);
}

/// `/proc/uptime`, and `btime` of `/proc/stat`.
pub fn boot(text: &[u8]) {
    if let Some(uptime) = uptime_ns(text) {
        assert!(uptime.is_multiple_of(10_000_000), "the kernel writes hundredths");
    }
    if let Some(seconds) = boot_time_seconds(text) {
        assert_eq!(
            boot_time_seconds(format!("btime {seconds}\n").as_bytes()),
            Some(seconds)
        );
    }
}
