//! A number, or why there is none.

use neap_proc::Reading;
use serde::{Serialize, Serializer};

use crate::unit;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    Known(u64),
    Missing(String),
}

impl Figure {
    pub(crate) fn value(&self) -> Option<u64> {
        match self {
            Figure::Known(value) => Some(*value),
            Figure::Missing(_) => None,
        }
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Figure::Known(_) => None,
            Figure::Missing(reason) => Some(reason),
        }
    }

    /// As a size; `n/a` when missing, the reason is told once elsewhere.
    pub(crate) fn size(&self) -> String {
        self.value().map_or_else(|| "n/a".to_owned(), unit::size)
    }

    /// As a count.
    pub(crate) fn count(&self) -> String {
        self.value().map_or_else(|| "n/a".to_owned(), unit::count)
    }
}

impl From<Reading<u64>> for Figure {
    fn from(reading: Reading<u64>) -> Figure {
        match reading {
            Reading::Value(value) => Figure::Known(value),
            Reading::Denied | Reading::Absent(_) => Figure::Missing(reading.reason().unwrap_or_default()),
        }
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_figure_is_null_and_never_zero() {
        let missing = Figure::from(Reading::<u64>::Denied);
        assert_eq!(serde_json::to_string(&missing).unwrap(), "null");
        assert_eq!(
            (missing.size().as_str(), missing.reason()),
            ("n/a", Some("permission denied"))
        );
        assert_eq!(serde_json::to_string(&Figure::Known(0)).unwrap(), "0");
    }
}
