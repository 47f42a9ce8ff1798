//! Large texts that nobody wrote in good faith: every parser ends, in time that grows as the text does.
//!
//! A text of some megabytes takes a parser a second or so without optimization; one that looked at each byte
//! for each other byte would take days. The deadline lies between, far from both.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use neap_proc::model::pmap::{Beside, Row};
use neap_proc::model::{Known, Space};
use neap_proc::parse::{
    BuddyInfo, Choice, Counters, Groups, Limits, Maps, Meminfo, NodeMeminfo, NumaMaps, PageCounts, PageFlags,
    Pressure, Smaps, SmapsRollup, SmapsText, Stat, Statm, Status, Swaps, ZramMemory, boot_time_seconds,
    children, pagemap_words, uptime_ns,
};

const BYTES: usize = 10 << 20;
const DEADLINE: Duration = Duration::from_secs(120);

/// `piece` again and again.
fn repeated(piece: &[u8]) -> Vec<u8> {
    piece.iter().copied().cycle().take(BYTES).collect()
}

/// `before`, a number that is never the same, `after`, again and again.
fn numbered(before: &str, after: &str) -> Vec<u8> {
    let mut text = String::with_capacity(BYTES + 100);
    let mut number = 0_u64;
    while text.len() < BYTES {
        text += &format!("{before}{number:x}{after}");
        number += 1;
    }
    text.into_bytes()
}

/// Fails when `parse` has not come to an end by the deadline.
fn ends(what: &str, text: Vec<u8>, parse: impl FnOnce(&[u8]) + Send + 'static) {
    let (ended, waits) = mpsc::channel();
    thread::spawn(move || {
        parse(&text);
        let _ = ended.send(());
    });
    assert!(waits.recv_timeout(DEADLINE).is_ok(), "{what} did not end");
}

#[test]
fn mappings_without_end() {
    ends(
        "maps, new names",
        numbered("1000-2000 r--p 0 00:00 0 /", "\n"),
        |text| {
            let maps = Maps::parse(text);
            assert_eq!(maps.unknown_lines, usize::from(!text.ends_with(b"\n")));
        },
    );
    ends("maps, one name of 10 MB", repeated(b"\\012 "), |text| {
        let line = [b"1000-2000 r--p 0 00:00 0 /", text].concat();
        assert_eq!(Maps::parse(&line).mappings.len(), 1);
    });
    let mappings = numbered("1000-2000 r-xp 0 00:00 0 /dev/", "\nRss: 4 kB\nSwap: x\n");
    ends("smaps, new names", mappings, |text| {
        let smaps = Smaps::parse(text);
        assert!(smaps.names().len() >= smaps.entries.len());
        let beside = Beside {
            stack: Some(0x1800),
            shared_memory: Some((0, 1)),
        };
        assert_eq!(Row::all(&smaps, &beside).len(), smaps.entries.len());
        let space = Space::new(smaps, &Known::default());
        assert_eq!(
            space.by_kind().values().map(|kind| kind.mappings).sum::<u64>(),
            space.total().mappings
        );
    });
    ends("smaps, flags without end", repeated(b"zz rd "), |text| {
        let text = [b"1000-2000 r--p 0 00:00 0\nVmFlags: ", text].concat();
        assert!(Smaps::parse(&text).entries[0].flags.unwrap().unknown > 1_000_000);
    });
    ends(
        "smaps, a line without end in small pieces",
        repeated(b"x"),
        |text| {
            let mut pieces = SmapsText::default();
            text.chunks(7).for_each(|piece| pieces.feed(piece));
            assert_eq!(pieces.finish().unknown_lines, 1);
        },
    );
    ends(
        "numa_maps, nodes without end",
        repeated(b"N0=1 file=\\040\\040 "),
        |text| {
            let line = [b"1000 default ", text].concat();
            assert!(NumaMaps::parse(&line).mappings[0].nodes.len() > 100_000);
        },
    );
}

#[test]
fn tables_without_end() {
    ends("counters, new names", numbered("n", " 1\n"), |text| {
        assert!(Counters::parse(text).iter().count() > 1_000_000);
    });
    ends("counters, one name", repeated(b"same 1\n"), |text| {
        assert_eq!(Counters::parse(text).iter().count(), 1);
    });
    ends(
        "buddyinfo, orders without end",
        repeated(b"18446744073709551615 "),
        |text| {
            let line = [b"Node 0, zone x ", text].concat();
            let line = line.trim_ascii_end().strip_suffix(b"1844").unwrap_or(&line);
            assert_eq!(BuddyInfo::parse(line).free_pages_from(1), u64::MAX);
        },
    );
    ends("cgroup, controllers without end", repeated(b"cpu,"), |text| {
        let line = [b"1:", text, b"memory:/x\n"].concat();
        assert_eq!(Groups::parse(&line).memory.unwrap().path, "/x");
    });
    ends("choice, words without end", repeated(b"never "), |text| {
        let text = [b"[always] ", text].concat();
        assert_eq!(Choice::parse(&text).unwrap().chosen, "always");
    });
    ends("swaps, escapes without end", repeated(b"\\040"), |text| {
        let line = [b"/", text, b" file 1 1 1\n"].concat();
        assert_eq!(Swaps::parse(&line).areas[0].path.len(), 1 + BYTES / 4);
    });
    ends(
        "pressure, words without end",
        repeated(b"some avg10=x "),
        |text| {
            assert_eq!(Pressure::parse(text).unknown_lines, 1);
        },
    );
}

#[test]
fn nothing_but_one_thing() {
    for piece in [&b"\n"[..], b" ", b"9", b"(", b"Pss: 1 kB\n", b"-1 "] {
        let mut text = repeated(piece);
        text.truncate(BYTES / 4);
        ends(&format!("all parsers, {piece:?}"), text, all);
    }
}

fn all(text: &[u8]) {
    let _ = (Maps::parse(text), Smaps::parse(text), SmapsRollup::parse(text));
    let _ = (Statm::parse(text, 4096), Stat::parse(text), Status::parse(text));
    let _ = (Limits::parse(text), NumaMaps::parse(text), Groups::parse(text));
    let _ = (
        Meminfo::parse(text),
        NodeMeminfo::parse(text),
        Counters::parse(text),
    );
    let _ = (Pressure::parse(text), Swaps::parse(text), ZramMemory::parse(text));
    let _ = (Choice::parse(text), BuddyInfo::parse(text), children(text));
    let _ = (uptime_ns(text), boot_time_seconds(text));
    let _: PageCounts = pagemap_words(text).collect();
    let _ = PageFlags::parse(text)
        .filter(|flags| flags.unknown_bits() != 0)
        .count();
}
