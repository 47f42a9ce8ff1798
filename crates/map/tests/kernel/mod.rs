//! What the kernel says of a mapping: smaps.
#![allow(dead_code)]

use std::fs;

/// The lines of smaps for the mapping that holds `address`.
fn lines(process: &str, address: usize) -> Vec<String> {
    let smaps = fs::read_to_string(format!("/proc/{process}/smaps")).unwrap();
    let range = |line: &str| {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        Some(number(start)?..number(end)?)
    };
    let mut wanted = false;
    let mut found = Vec::new();
    for line in smaps.lines() {
        if let Some(range) = range(line) {
            wanted = range.contains(&address);
        }
        if wanted {
            found.push(line.to_owned());
        }
    }
    assert!(!found.is_empty(), "nothing is mapped at {address:#x}");
    found
}

/// Whether VmFlags of the mapping at `address` has `flag`.
pub(crate) fn has_flag(address: *const u8, flag: &str) -> bool {
    let lines = lines("self", address.addr());
    let flags = lines
        .iter()
        .find_map(|line| line.strip_prefix("VmFlags:"))
        .unwrap();
    flags.split_ascii_whitespace().any(|word| word == flag)
}

/// A field of the mapping at `address` in bytes, such as `Rss`.
pub(crate) fn bytes(address: *const u8, field: &str) -> usize {
    bytes_of("self", address.addr(), field)
}

/// The same of another process.
pub(crate) fn bytes_of(process: &str, address: usize, field: &str) -> usize {
    let lines = lines(process, address);
    let prefix = format!("{field}:");
    let kib = lines
        .iter()
        .find_map(|line| line.strip_prefix(prefix.as_str())?.trim().strip_suffix("kB"));
    kib.unwrap_or_else(|| panic!("smaps has no {field}"))
        .trim()
        .parse::<usize>()
        .unwrap()
        * 1024
}

/// Says that a test did not run, and why.
pub(crate) fn skip(test: &str, why: &str) {
    crate::skip::skip(format_args!("{test}: {why}"));
}

/// Whether tests may change settings of the whole machine and put them back.
pub(crate) fn may_change_system() -> bool {
    std::env::var_os("NEAP_TEST_SYSTEM").is_some_and(|value| value == "1")
}
