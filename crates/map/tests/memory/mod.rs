//! What the tests map.
#![allow(dead_code)]

use neap_map::view::Owned;
use neap_map::{Anon, Guards, Map};
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

pub(crate) const PAGE: usize = 4096;
pub(crate) const HUGE: usize = 2 << 20;

/// Private memory whose mapping merges with no other.
pub(crate) fn apart(len: usize) -> Map<Owned> {
    Anon::private(len).guards(Guards::Both).map().unwrap()
}

pub(crate) fn filled(len: usize) -> Map<Owned> {
    let mut map = apart(len);
    map.fill(0xab);
    map
}

/// A file without a name, stored and in the cache.
pub(crate) fn file_of(len: usize) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![b'a'; len]).unwrap();
    file.sync_all().unwrap();
    file
}

/// Waits for what the kernel does in its own time.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what} never happened");
        std::thread::sleep(Duration::from_millis(5));
    }
}
