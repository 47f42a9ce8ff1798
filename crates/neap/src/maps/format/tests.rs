//! There and back, and every way in which a file can be wrong.

use proptest::prelude::*;

use super::*;
use crate::heap::Role;
use crate::maps::heap::Counters;

const SMAPS: &[u8] = b"1000-2000 rw-p 00000000 00:00 0 [heap]\nRss:                   4 kB\nNewKey:    x\nVmFlags: rd wr\n3000-4000 r--p 00000000 fe:00 5 /a\xff b\\012c\nRss:                   4 kB\n";

fn raw() -> Raw {
    Raw {
        head: Head {
            taken: "2026-03-01T12:00:00.000Z".to_owned(),
            pid: 4711,
            name: "na\nme".to_owned(),
            command: vec!["py\u{1b}thon".to_owned(), String::new(), "a b".to_owned()],
            program: Some("/usr/bin/python3".to_owned()),
            kernel: "Linux 6.18.0".to_owned(),
            page_bytes: 4096,
            started_ticks: Some(77),
            stack_start: None,
            shared_memory: Some((0, 1)),
        },
        smaps: SMAPS.to_vec(),
        rollup: Ok(b"1000-4000 ---p 00000000 00:00 0 [rollup]\nRss: 8 kB\n".to_vec()),
        status: Err("permission denied".to_owned()),
        heap: Ok(Heap {
            counters: Counters {
                live_bytes: 9,
                threads: 2,
                ..Counters::default()
            },
            spans: vec![HeapSpan {
                addresses: 0x1000..0x2000,
                role: Role::Window,
            }],
        }),
        pages: Ok(vec![PageRun {
            addresses: 0x1000..0x2000,
            state: PageState::Anonymous,
        }]),
    }
}

#[test]
fn what_was_written_is_read() {
    let (wrote, file) = (raw(), write(&raw()));
    let read = read(&file).unwrap();
    assert_eq!(read.head, wrote.head);
    assert_eq!(read.smaps, wrote.smaps);
    assert_eq!((&read.rollup, &read.status), (&wrote.rollup, &wrote.status));
    assert_eq!((&read.heap, &read.pages), (&wrote.heap, &wrote.pages));
    assert_eq!(write(&read), file);
}

#[track_caller]
fn wrong(file: &[u8], line: usize, what: &str) {
    let damage = read(file).unwrap_err();
    assert!(damage.what.contains(what), "{damage}");
    assert_eq!(damage.line, line, "{damage}");
}

#[test]
fn a_damaged_file_is_told_by_its_line() {
    let file = write(&raw());
    let text = String::from_utf8_lossy(&file).into_owned();
    let line = |part: &str| text.lines().position(|line| line.contains(part)).unwrap() + 1;
    let with = |from: &str, to: &str| text.replace(from, to).into_bytes();
    wrong(b"", 1, "no snapshot");
    wrong(b"\x7fELF", 1, "no snapshot");
    wrong(&with("neap snapshot 1", "neap snapshot 2"), 1, "version 2");
    wrong(&with("pid 4711", "pid x"), line("pid 4711"), "`pid` has no value");
    wrong(&with("pid 4711\n", ""), text.lines().count() - 1, "has no pid");
    wrong(&with("taken ", "Taken "), 2, "neither");
    wrong(&with("== heap", "== heap x"), line("== heap"), "a title is");
    wrong(
        &with("live_bytes 9", "live_bytes"),
        line("live_bytes"),
        "no line of heap",
    );
    wrong(&with(" window", " door"), line(" window"), "no line of heap");
    wrong(
        &with("1000-2000 anonymous", "2000-1000 anonymous"),
        line("0 anonymous"),
        "no line of pages",
    );
    wrong(
        &with("[heap]\nRss:                   4 kB", "[heap]\nRss:  4 MB"),
        line("[heap]") + 1,
        "no line of smaps",
    );
    wrong(
        &with("1000-2000 rw-p", "1000 rw-p"),
        line("[heap]"),
        "no line of smaps",
    );
    wrong(
        &with("== smaps 6 lines", "== smaps 7 lines"),
        line("== end"),
        "no line of smaps",
    );
    let more = [&file[..], b"x\n"].concat();
    wrong(&more, text.lines().count() + 1, "something follows");
}

#[test]
fn a_file_cut_anywhere_is_found_out() {
    let file = write(&raw());
    for len in 0..file.len() {
        let damage = read(&file[..len]).unwrap_err();
        assert!(
            damage.line <= file[..len].split(|b| *b == b'\n').count(),
            "{len}: {damage}"
        );
    }
    assert!(read(&file).is_ok());
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
        let _ = read(&[b"neap snapshot 1\n", &bytes[..]].concat());
    }

    #[test]
    fn a_snapshot_with_bytes_changed_is_read_or_refused(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), drop in any::<bool>()
    ) {
        let mut file = write(&raw());
        let at = at.index(file.len());
        if drop { file.remove(at); } else { file[at] = byte; }
        if let Ok(raw) = read(&file) {
            let again = write(&raw);
            prop_assert_eq!(write(&read(&again).unwrap()), again);
            let _ = crate::maps::snapshot::Snapshot::new(raw);
        }
    }
}
