//! Values out of readings; why there is none is kept under the field's path.

use std::collections::BTreeMap;

use neap_proc::Reading;
use neap_proc::parse::{Bound, Counters};

/// The reason of a bound that is none. In text it stands by itself, without `n/a`.
pub(crate) const NO_LIMIT: &str = "no limit";

/// Path of a field that has no value: why.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    pub(crate) reasons: BTreeMap<String, String>,
}

impl Gather {
    /// The value, or its reason under `path`.
    pub(crate) fn take<T>(&mut self, path: &str, reading: Reading<T>) -> Option<T> {
        if let Some(reason) = reading.reason() {
            self.miss(path, &reason);
        }
        reading.value()
    }

    /// A bound in bytes; none where there is no limit.
    pub(crate) fn bound(&mut self, path: &str, reading: Reading<Bound>) -> Option<u64> {
        match self.take(path, reading)? {
            Bound::At(bytes) => Some(bytes),
            Bound::Unlimited => {
                self.miss(path, NO_LIMIT);
                None
            }
        }
    }

    /// One of many counters, whose file may be missing as a whole.
    pub(crate) fn counter(&mut self, path: &str, from: &Reading<Counters>, name: &str) -> Option<u64> {
        let reading = match from {
            Reading::Value(counters) => counters.get(name).into(),
            Reading::Denied => Reading::Denied,
            Reading::Absent(reason) => Reading::Absent(*reason),
        };
        self.take(path, reading)
    }

    /// Says why the field at `path` has no value.
    pub(crate) fn miss(&mut self, path: &str, reason: &str) {
        self.reasons.insert(path.to_owned(), reason.to_owned());
    }
}
