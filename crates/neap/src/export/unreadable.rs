//! Counts the processes of which a file could not be read, by file and by reason.
//!
//! A process that has ended meanwhile is not among them: it is no longer there to be exported. Reasons are few
//! fixed words, so the series are few; an errno is told in JSON only.

use std::collections::BTreeMap;

use neap_proc::{Reading, Reason};

use super::figures::Unreadable;

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// The heap of libneap.so.
    Heap,
    /// `/proc/PID/smaps_rollup`.
    SmapsRollup,
    /// `/proc/PID/status`.
    Status,
}

impl Source {
    const ALL: [Source; 3] = [Source::Heap, Source::SmapsRollup, Source::Status];

    const fn word(self) -> &'static str {
        match self {
            Source::Heap => "heap",
            Source::SmapsRollup => "smaps_rollup",
            Source::Status => "status",
        }
    }
}

/// The reason that can be mended by rights; it is always told, so that a rule can compare it with 0.
pub(crate) const DENIED: &str = "denied";

/// The counts of one scrape.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: BTreeMap<(Source, &'static str), u64>,
}

impl Tally {
    /// Counts a process for the reason why a file has no value.
    pub(crate) fn reading<T>(&mut self, source: Source, reading: &Reading<T>) {
        if let Some(word) = word(reading) {
            self.count(source, word, 1);
        }
    }

    /// Counts processes.
    pub(crate) fn count(&mut self, source: Source, reason: &'static str, processes: u64) {
        *self.counts.entry((source, reason)).or_default() += processes;
    }

    /// The counts in order.
    pub(crate) fn rows(mut self) -> Vec<Unreadable> {
        for source in Source::ALL {
            self.counts.entry((source, DENIED)).or_default();
        }
        let row = |((source, reason), processes): ((Source, _), _)| Unreadable {
            source: source.word(),
            reason,
            processes,
        };
        self.counts.into_iter().map(row).collect()
    }
}

fn word<T>(reading: &Reading<T>) -> Option<&'static str> {
    match reading {
        Reading::Value(_) | Reading::Absent(Reason::Gone) => None,
        Reading::Denied => Some(DENIED),
        Reading::Absent(Reason::NoMemory) => Some("no_memory"),
        Reading::Absent(Reason::NotInThisKernel) => Some("not_in_this_kernel"),
        Reading::Absent(Reason::Malformed) => Some("malformed"),
        Reading::Absent(Reason::Failed(_)) => Some("failed"),
        Reading::Absent(Reason::NotYet | Reason::NeverRead) => Some("not_yet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ended_is_not_unreadable_and_denied_is_always_told() {
        let mut tally = Tally::default();
        tally.reading::<u64>(Source::Status, &Reading::Absent(Reason::Gone));
        tally.reading(Source::Status, &Reading::Value(1));
        tally.reading::<u64>(Source::SmapsRollup, &Reading::Denied);
        tally.reading::<u64>(Source::SmapsRollup, &Reading::Absent(Reason::Failed(5)));
        let rows: Vec<_> = tally
            .rows()
            .iter()
            .map(|row| (row.source, row.reason, row.processes))
            .collect();
        assert_eq!(
            rows,
            [
                ("heap", "denied", 0),
                ("smaps_rollup", "denied", 1),
                ("smaps_rollup", "failed", 1),
                ("status", "denied", 0)
            ]
        );
    }
}
