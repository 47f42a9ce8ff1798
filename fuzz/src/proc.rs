//! The parsers of `/proc`: whatever a file says, they neither panic nor contradict themselves.

use neap_proc::parse::{Maps, SmapsRollup, Stat, Statm, Status, children};

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
}
