//! The parsers of `/proc`: whatever a file says, they neither panic nor contradict themselves.

use neap_proc::parse::{
    BuddyInfo, Choice, Counters, Groups, Limits, Maps, Meminfo, NumaMaps, PageCounts, PageFlags, Pressure,
    Smaps, SmapsRollup, SmapsText, Stat, Statm, Status, Swaps, ZramMemory, boot_time_seconds, children,
    pagemap_words, swap_slot, uptime_ns,
};

/// Parses `bytes` as each of the files.
///
/// # Panics
/// When a parser does, or when what it returns cannot be.
pub fn run(bytes: &[u8]) {
    let (page_bytes, text) = match bytes.split_first_chunk::<8>() {
        Some((first, rest)) => (u64::from_le_bytes(*first), rest),
        None => (4096, bytes),
    };
    let _ = Statm::parse(text, page_bytes);
    let _ = Stat::parse(text);
    let _ = Status::parse(text);
    let rollup = SmapsRollup::parse(text);
    let _ = rollup.unique_bytes();
    let _ = children(text);
    let maps = Maps::parse(text);
    for mapping in &maps.mappings {
        assert!(mapping.start < mapping.end, "a mapping ends before it starts");
        assert_eq!(mapping.len_bytes(), mapping.end - mapping.start);
    }
    let _ = Limits::parse(text);
    let _ = Groups::parse(text);
    let _ = Meminfo::parse(text).used_bytes();
    smaps(text, page_bytes);
    machine(text);
}

/// Files of the machine, and words of bits.
fn machine(text: &[u8]) {
    let counters = Counters::parse(text);
    for (name, number) in counters.iter() {
        assert_eq!(counters.get(name), Some(number), "{name} is not found");
    }
    let _ = (Pressure::parse(text), Swaps::parse(text), ZramMemory::parse(text));
    let _ = (uptime_ns(text), boot_time_seconds(text));
    let _ = (Choice::parse(text), NumaMaps::parse(text));
    let _ = BuddyInfo::parse(text).free_pages_from(1);
    for flags in PageFlags::parse(text) {
        let _ = flags.names().count();
    }
    let counts: PageCounts = pagemap_words(text).inspect(|word| _ = swap_slot(*word)).collect();
    assert_eq!(counts.pages, (text.len() / 8) as u64);
    assert!(counts.frames_denied <= counts.present);
}

/// The text cut in two says what it says in one piece.
fn smaps(text: &[u8], seed: u64) {
    let whole = Smaps::parse(text);
    for entry in &whole.entries {
        assert!(entry.start < entry.end, "a mapping ends before it starts");
        let _ = whole.name(entry.name);
    }
    let cut = usize::try_from(seed).unwrap_or(0) % (text.len() + 1);
    let (first, second) = text.split_at(cut);
    let mut pieces = SmapsText::default();
    pieces.feed(first);
    pieces.feed(second);
    assert_eq!(pieces.finish(), whole, "cut at {cut}");
}
