//! The files of one process.

use super::{bounded, render};
use neap_proc::model::pmap::{Beside, Footer, Row};
use neap_proc::model::{Comparison, Known, Space};
use neap_proc::parse::{
    self, Groups, Limits, Maps, Name, NumaMaps, PageCounts, Smaps, SmapsField, SmapsRollup, SmapsText, Stat,
    Statm, Status, SwapSlot,
};

/// `/proc/PID/maps`.
pub fn maps(text: &[u8]) {
    let maps = Maps::parse(text);
    bounded(text, maps.mappings.len(), maps.unknown_lines);
    for mapping in &maps.mappings {
        assert!(mapping.start < mapping.end, "a mapping ends before it starts");
        assert_eq!(mapping.len_bytes(), mapping.end - mapping.start);
    }
    let again = Maps::parse(render::maps(&maps).as_bytes());
    assert_eq!((again.mappings, again.unknown_lines), (maps.mappings, 0));
}

/// `/proc/PID/smaps`, in one piece and in two, and what the models make of it.
pub fn smaps(text: &[u8]) {
    let whole = Smaps::parse(text);
    bounded(text, whole.entries.len(), whole.unknown_lines);
    for entry in &whole.entries {
        assert!(entry.start < entry.end, "a mapping ends before it starts");
        assert!(whole.names().contains(whole.name(entry.name)));
    }
    let cut = text
        .first()
        .map_or(0, |first| usize::from(*first) % (text.len() + 1));
    let (first, second) = text.split_at(cut);
    let mut pieces = SmapsText::default();
    pieces.feed(first);
    pieces.feed(second);
    assert_eq!(pieces.finish(), whole, "cut at {cut}");

    let again = Smaps::parse(render::smaps(&whole).as_bytes());
    assert_eq!(again.unknown_lines, 0);
    assert_eq!(again.total(), whole.total());
    assert_eq!(again.entries.len(), whole.entries.len());
    for (one, other) in again.entries.iter().zip(&whole.entries) {
        assert_eq!(
            (again.name(one.name), one.sizes),
            (whole.name(other.name), other.sizes)
        );
        assert_eq!(
            one.flags.map(|set| set.iter().count()),
            other.flags.map(|set| set.iter().count())
        );
    }
    models(&whole);
}

fn models(smaps: &Smaps) {
    let beside = Beside {
        stack: smaps.entries.last().map(|entry| entry.start),
        shared_memory: smaps.entries.first().map(|entry| entry.device),
    };
    let rows = Row::all(smaps, &beside);
    let footer = Footer::of(&rows);
    assert!(rows.iter().all(|row| row.kilobytes <= footer.kilobytes));

    let space = Space::new(smaps.clone(), &Known::default());
    let (total, kinds) = (space.total(), space.by_kind());
    let sum =
        |size: fn(&neap_proc::model::Total) -> u64| kinds.values().map(size).fold(0, u64::saturating_add);
    assert_eq!(sum(|kind| kind.mappings), total.mappings);
    assert_eq!(sum(|kind| kind.len_bytes), total.len_bytes);
    for (kind, whole) in &kinds {
        let names = space.by_name(*kind);
        assert_eq!(
            names.values().map(|name| name.mappings).sum::<u64>(),
            whole.mappings
        );
    }
    if smaps.entries.is_sorted_by_key(|entry| entry.start) && has_no_start_twice(smaps) {
        assert_eq!(
            Comparison::new(&space, &space),
            Comparison::default(),
            "compared with itself"
        );
    }
    let gone = Comparison::new(&space, &Space::default());
    assert!(gone.mappings.len() <= smaps.entries.len());
}

fn has_no_start_twice(smaps: &Smaps) -> bool {
    smaps
        .entries
        .windows(2)
        .all(|pair| pair[0].start != pair[1].start)
}

/// `/proc/PID/smaps_rollup`.
pub fn smaps_rollup(text: &[u8]) {
    let sums = SmapsRollup::parse(text);
    bounded(text, 0, sums.unknown_lines);
    for (key, bytes) in sums.sizes() {
        assert!(
            SmapsField::from_key(key.as_bytes()).is_some(),
            "{key} is no line of smaps"
        );
        assert!(bytes.is_multiple_of(1024), "{key} is in kilobytes");
    }
    let again = SmapsRollup::parse(render::sizes(sums.sizes()).as_bytes());
    assert_eq!(
        again,
        SmapsRollup {
            unknown_lines: 0,
            ..sums
        }
    );
}

/// `/proc/PID/statm`, in pages of a size that the first eight bytes say.
pub fn statm(bytes: &[u8]) {
    let (page_bytes, text) = match bytes.split_first_chunk::<8>() {
        Some((first, rest)) => (u64::from_le_bytes(*first), rest),
        None => (4096, bytes),
    };
    for page_bytes in [page_bytes, 4096] {
        if let Ok(statm) = Statm::parse(text, page_bytes) {
            let again = Statm::parse(render::statm(&statm, page_bytes).as_bytes(), page_bytes);
            assert_eq!(again, Ok(statm));
        }
    }
}

/// `/proc/PID/stat`.
pub fn stat(text: &[u8]) {
    if let Ok(stat) = Stat::parse(text) {
        let again = Stat::parse(render::stat(&stat).as_bytes());
        assert_eq!(again, Ok(stat));
    }
}

/// `/proc/PID/status`.
pub fn status(text: &[u8]) {
    let status = Status::parse(text);
    bounded(text, 0, status.unknown_lines);
    let sizes = [status.resident_bytes, status.size_peak_bytes, status.swap_bytes];
    assert!(sizes.iter().flatten().all(|bytes| bytes.is_multiple_of(1024)));
}

/// `/proc/PID/limits`.
pub fn limits(text: &[u8]) {
    let limits = Limits::parse(text);
    bounded(text, 0, limits.unknown_lines);
    let again = Limits::parse(render::limits(&limits).as_bytes());
    assert_eq!(
        again,
        Limits {
            unknown_lines: 0,
            ..limits
        }
    );
}

/// `/proc/PID/numa_maps`.
pub fn numa_maps(text: &[u8]) {
    let maps = NumaMaps::parse(text);
    bounded(text, maps.mappings.len(), maps.unknown_lines);
    let unknown: usize = maps.mappings.iter().map(|mapping| mapping.unknown_words).sum();
    let words = text
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    assert!(unknown + 2 * maps.mappings.len() <= words.count());
}

/// `/proc/PID/pagemap`: words of bits.
pub fn pagemap(bytes: &[u8]) {
    let counts: PageCounts = parse::pagemap_words(bytes)
        .inspect(|word| {
            let slot = parse::swap_slot(*word);
            assert_eq!(slot.is_some(), word.is_swapped());
            let Some(SwapSlot::At { kind, offset }) = slot else {
                return;
            };
            assert_eq!(offset << 5 | u64::from(kind), word.bits() & ((1 << 55) - 1));
        })
        .collect();
    assert_eq!(counts.pages, (bytes.len() / 8) as u64);
    let some = [
        counts.present,
        counts.swapped,
        counts.guards,
        counts.file_or_shared,
        counts.exclusive,
        counts.soft_dirty,
        counts.write_protected,
    ];
    assert!(some.iter().all(|count| *count <= counts.pages));
    assert!(counts.frames_denied <= counts.present);
}

/// `/proc/PID/task/TID/children`.
pub fn children(text: &[u8]) {
    let pids = parse::children(text);
    let again: Vec<String> = pids.iter().map(u32::to_string).collect();
    assert_eq!(parse::children(again.join(" ").as_bytes()), pids);
}

/// `/proc/PID/cgroup`.
pub fn cgroup(text: &[u8]) {
    let groups = Groups::parse(text);
    bounded(text, usize::from(groups.memory.is_some()), groups.unknown_lines);
    if let Some(memory) = groups.memory {
        assert!(memory.path.starts_with('/'));
        let again = Groups::parse(render::group(&memory).as_bytes());
        assert_eq!((again.memory, again.unknown_lines), (Some(memory), 0));
    }
}

/// The name of a mapping as `/proc/PID/maps` writes it.
#[must_use]
pub fn name(name: &Name) -> String {
    let text = match name {
        Name::Anonymous => String::new(),
        Name::Named(name) => format!("[anon:{name}]"),
        Name::Special(name) => name.clone(),
        Name::File { path, deleted: false } => path.clone(),
        Name::File { path, deleted: true } => format!("{path} (deleted)"),
    };
    text.replace('\n', "\\012")
}
