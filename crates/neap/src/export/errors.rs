//! Requests that were not answered as asked, counted by cause.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::answer::Refusal;

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The system gave no socket.
    Accept,
    /// The client went away before it had its answer.
    Broken,
    /// Too many connections.
    Busy,
    /// A Host that is not answered on loopback.
    Host,
    /// No request of HTTP, or a head too long.
    Malformed,
    /// Neither GET nor HEAD.
    Method,
    /// No such path.
    Path,
    /// The machine could not be read.
    Reading,
    /// The client was too slow.
    Timeout,
}

impl Cause {
    const ALL: [Cause; 9] = [
        Cause::Accept,
        Cause::Broken,
        Cause::Busy,
        Cause::Host,
        Cause::Malformed,
        Cause::Method,
        Cause::Path,
        Cause::Reading,
        Cause::Timeout,
    ];

    const fn word(self) -> &'static str {
        match self {
            Cause::Accept => "accept",
            Cause::Broken => "broken",
            Cause::Busy => "busy",
            Cause::Host => "host",
            Cause::Malformed => "malformed",
            Cause::Method => "method",
            Cause::Path => "path",
            Cause::Reading => "reading",
            Cause::Timeout => "timeout",
        }
    }
}

impl From<Refusal> for Cause {
    fn from(refusal: Refusal) -> Cause {
        match refusal {
            Refusal::Path => Cause::Path,
            Refusal::Method => Cause::Method,
            Refusal::Host => Cause::Host,
        }
    }
}

/// One count for each cause.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    counts: [AtomicU64; Cause::ALL.len()],
}

impl Errors {
    /// Counts one.
    pub(crate) fn count(&self, cause: Cause) {
        if let Some(count) = self.counts.get(cause as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// All of them, also those that are 0: a counter starts there.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = Cause::ALL.iter().zip(&self.counts);
        counts
            .map(|(cause, count)| (cause.word(), count.load(Relaxed)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_a_count_of_its_own() {
        let errors = Errors::default();
        Cause::ALL.iter().for_each(|cause| errors.count(*cause));
        errors.count(Cause::Timeout);
        let counts = errors.counts();
        assert_eq!(counts.iter().filter(|(_, count)| *count == 1).count(), 8);
        assert_eq!(counts.last(), Some(&("timeout", 2)));
    }
}
