//! Has a process give back what is free in its heap, and says in a line what came of it.

use crate::heap::{GaveBack, give_back};
use crate::unit;

/// The line, or why nothing was done.
pub(crate) fn give_back_told(pid: u32) -> Result<String, String> {
    match give_back(pid) {
        Ok(gave) => Ok(told(pid, &gave)),
        Err(why) => Err(format!("process {pid} {why}")),
    }
}

fn told(pid: u32, gave: &GaveBack) -> String {
    let size = |bytes: Option<u64>| bytes.map_or_else(|| "n/a".to_owned(), unit::size);
    let (before, after) = (gave.before.resident_bytes, gave.after.resident_bytes);
    let mut line = format!("{pid} gave back: RSS {} -> {}", size(before), size(after));
    if let Some(scattered) = gave.after.scattered_bytes.filter(|bytes| *bytes > 0) {
        line.push_str(&format!("; {} lie beside live blocks", unit::size(scattered)));
    }
    let kept = gave.threads.iter().filter(|thread| thread.kept.is_some()).count();
    if !gave.complete {
        line.push_str("; not all was done: neap trim says why");
    } else if kept > 0 {
        let all = gave.threads.len();
        line.push_str(&format!(
            "; {kept} of {all} threads kept theirs: neap trim says why"
        ));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::{Measure, ThreadEnd};

    fn measure(resident_bytes: Option<u64>) -> Measure {
        Measure {
            resident_bytes,
            anonymous_bytes: None,
            live_bytes: 0,
            cached_bytes: 0,
            held_bytes: 0,
            heap_resident_bytes: None,
            dirt_bytes: 0,
            free_in_slabs_bytes: None,
            scattered_bytes: Some(3 << 20),
        }
    }

    #[test]
    fn the_line_has_before_and_after_and_what_was_kept() {
        let thread = |kept: Option<&str>| ThreadEnd {
            tid: 7,
            name: "x".to_owned(),
            kept: kept.map(str::to_owned),
        };
        let mut gave = GaveBack {
            before: measure(Some(64 << 20)),
            after: measure(None),
            threads: vec![thread(None), thread(Some("runs"))],
            complete: true,
        };
        let line = told(7, &gave);
        let start = "7 gave back: RSS 64.0 MiB -> n/a; 3.00 MiB lie beside live blocks";
        assert_eq!(
            line,
            format!("{start}; 1 of 2 threads kept theirs: neap trim says why")
        );
        gave.complete = false;
        assert_eq!(
            told(7, &gave),
            format!("{start}; not all was done: neap trim says why")
        );
    }

    #[test]
    fn a_process_without_a_heap_of_neaps_says_so() {
        let why = give_back_told(std::process::id()).unwrap_err();
        assert!(why.contains("is this neap itself"), "{why}");
    }
}
