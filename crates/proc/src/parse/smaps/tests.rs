//! Texts of three kernels, cut anywhere.

use super::*;
use crate::parse::{SmapsField as Field, VmFlag};

const NEW: &[u8] = include_bytes!("../../../tests/fixtures/linux-6.18/proc/4711/smaps");
const MIDDLE: &[u8] = include_bytes!("../../../tests/fixtures/linux-5.10/proc/900/smaps");
const OLD: &[u8] = include_bytes!("../../../tests/fixtures/linux-4.4/proc/900/smaps");

#[test]
fn a_new_kernel_has_every_line_and_none_is_unknown() {
    let smaps = Smaps::parse(NEW);
    assert_eq!((smaps.entries.len(), smaps.unknown_lines), (122, 0));
    for entry in &smaps.entries {
        assert_eq!(entry.sizes.get(Field::Size), Some(entry.len_bytes()));
        assert_eq!(entry.sizes.get(Field::KernelPageSize), Some(4096));
        assert_eq!(entry.sizes.get(Field::PssAnon), None);
        assert!(entry.flags.is_some_and(|flags| flags.unknown == 0));
        assert_eq!(entry.sizes.iter().count(), 22);
    }
    // The footer of pmap -x over the same process.
    let total = smaps.total();
    let kilobytes = |field| total.get(field).unwrap() >> 10;
    assert_eq!((kilobytes(Field::Size), kilobytes(Field::Rss)), (18_988, 14_476));
    assert_eq!(total.dirty_bytes(), Some(7636 << 10));
}

#[test]
fn names_are_kept_once() {
    let smaps = Smaps::parse(NEW);
    let anonymous: Vec<_> = smaps
        .entries
        .iter()
        .filter(|entry| *smaps.name(entry.name) == Name::Anonymous)
        .collect();
    assert!(anonymous.len() > 3);
    assert!(anonymous.iter().all(|entry| entry.name == anonymous[0].name));
    let mut names: Vec<String> = smaps.names().iter().map(|name| format!("{name:?}")).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), smaps.names().len());
}

#[test]
fn lines_of_their_own_form_have_values() {
    let entry = Smaps::parse(MIDDLE).entries[0];
    assert_eq!(entry.thp_eligible, Some(true));
    assert_eq!(entry.protection_key, Some(3));
    assert!(entry.permissions.shared && entry.flags.unwrap().has(VmFlag::Locked));
    assert_eq!(entry.sizes.get(Field::Size), Some(256 << 30));
    assert_eq!(entry.sizes.get(Field::ShmemPmdMapped), Some(8 << 20));
    assert_eq!(entry.sizes.get(Field::Locked), Some(5 << 20));
    assert_eq!(entry.sizes.get(Field::Ksm), None, "came with 6.7");
}

#[test]
fn an_old_kernel_writes_fewer_lines_in_another_order() {
    let smaps = Smaps::parse(OLD);
    assert_eq!((smaps.entries.len(), smaps.unknown_lines), (2, 0));
    let stack = smaps.entries[1];
    assert_eq!(*smaps.name(stack.name), Name::Special("[stack:901]".to_owned()));
    assert_eq!(stack.sizes.get(Field::MmuPageSize), Some(4096));
    assert_eq!(stack.sizes.unique_bytes(), Some(8192));
    assert_eq!(stack.sizes.get(Field::SwapPss), Some(4096));
    assert_eq!(stack.sizes.get(Field::LazyFree), None);
    assert_eq!(stack.thp_eligible, None);
    assert!(matches!(smaps.name(smaps.entries[0].name),
        Name::File { path, deleted: false } if path == "/usr/sbin/old daemon"));
}

#[test]
fn the_text_may_be_cut_anywhere() {
    let whole = Smaps::parse(OLD);
    for size in 1..64 {
        let mut text = SmapsText::default();
        OLD.chunks(size).for_each(|piece| text.feed(piece));
        assert_eq!(text.finish(), whole, "in pieces of {size} bytes");
    }
    let mut text = SmapsText::default();
    NEW.chunks(4099).for_each(|piece| text.feed(piece));
    assert_eq!(text.finish(), Smaps::parse(NEW));
}

#[test]
fn rubbish_is_counted_and_the_rest_is_read() {
    let text = b"Rss: 1 kB\n1000-2000 r--p 0 00:00 0\nRss: 1 MB\nNews: 3 kB\nPss:    2 kB\nx\n2000-1000 rw-p 0 0:0 0\nSwap: 4 kB";
    let smaps = Smaps::parse(text);
    assert_eq!(smaps.entries.len(), 1);
    assert_eq!(smaps.unknown_lines, 5);
    let sizes = smaps.entries[0].sizes;
    assert_eq!(
        sizes.get(Field::Rss),
        None,
        "a size in another unit is not guessed"
    );
    assert_eq!(sizes.get(Field::Pss), Some(2048));
    assert_eq!(sizes.get(Field::Swap), Some(4096));
}
