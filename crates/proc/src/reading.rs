//! What came of asking the kernel for a figure.

use core::fmt;

/// A figure, or why there is none. There is deliberately no way to read a missing figure as zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading<T> {
    /// The kernel's answer.
    Value(T),
    /// The kernel has the figure and keeps it from this user.
    Denied,
    /// There is no such figure.
    Absent(Reason),
}

/// Why a figure does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The process ended before it was read.
    Gone,
    /// The process is a zombie or a kernel thread and has no memory of its own.
    NoMemory,
    /// This kernel does not write the file or the line.
    NotInThisKernel,
    /// The text was there and had another form than the manual's.
    Malformed,
    /// Reading failed with this errno.
    Failed(i32),
    /// Nothing has been read so far, and nothing will be.
    NeverRead,
    /// Nothing has been read so far; a later reading has it.
    NotYet,
}

impl<T> Reading<T> {
    /// The value, when there is one.
    pub fn value(self) -> Option<T> {
        match self {
            Reading::Value(value) => Some(value),
            Reading::Denied | Reading::Absent(_) => None,
        }
    }

    /// The value by reference, when there is one.
    pub fn as_value(&self) -> Option<&T> {
        match self {
            Reading::Value(value) => Some(value),
            Reading::Denied | Reading::Absent(_) => None,
        }
    }

    /// Applies `f` to the value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Reading<U> {
        self.and_then(|value| Reading::Value(f(value)))
    }

    /// Goes on with the value.
    pub fn and_then<U>(self, f: impl FnOnce(T) -> Reading<U>) -> Reading<U> {
        match self {
            Reading::Value(value) => f(value),
            Reading::Denied => Reading::Denied,
            Reading::Absent(reason) => Reading::Absent(reason),
        }
    }

    /// In words why there is no value; `None` when there is one.
    pub fn reason(&self) -> Option<String> {
        match self {
            Reading::Value(_) => None,
            Reading::Denied => Some("permission denied".to_owned()),
            Reading::Absent(reason) => Some(reason.to_string()),
        }
    }
}

impl<T> From<Option<T>> for Reading<T> {
    /// A line that is missing from a file that was read is a line this kernel does not write.
    fn from(value: Option<T>) -> Reading<T> {
        value.map_or(Reading::Absent(Reason::NotInThisKernel), Reading::Value)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Gone => f.write_str("the process had ended"),
            Reason::NoMemory => f.write_str("the process has no memory of its own"),
            Reason::NotInThisKernel => f.write_str("not in this kernel"),
            Reason::Malformed => f.write_str("the kernel's text has an unknown form"),
            Reason::Failed(errno) => write!(f, "reading failed with errno {errno}"),
            Reason::NotYet => f.write_str("not read yet"),
            Reason::NeverRead => f.write_str("the program ended before it could be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_has_a_reason_and_no_value() {
        let denied: Reading<u64> = Reading::Denied;
        assert_eq!(
            (denied.value(), denied.reason().as_deref()),
            (None, Some("permission denied"))
        );
        let absent: Reading<u64> = None.into();
        assert_eq!(absent.map(|n| n + 1), Reading::Absent(Reason::NotInThisKernel));
        assert_eq!(Reading::Value(3).map(|n| n + 1), Reading::Value(4));
        assert_eq!(Reading::Value(3).reason(), None);
    }
}
