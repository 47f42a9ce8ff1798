//! Whether memory calls work here, by trying them: the answers of `neap-os` as values.

use neap_os::attempt;
use neap_os::errno::Errno;

/// A call that can be tried, by its place in a fixed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt(attempt::Attempt);

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It works.
    Works,
    /// This kernel does not have it: ENOSYS, EINVAL, EOPNOTSUPP, ENOTTY, ENOENT or EBADF.
    Missing(i32),
    /// The kernel has it and keeps it from this process: EPERM or EACCES.
    Denied(i32),
    /// It failed for another reason.
    Failed(i32),
}

impl Attempt {
    /// Every call.
    pub fn all() -> impl Iterator<Item = Attempt> {
        attempt::Attempt::ALL.iter().map(|attempt| Attempt(*attempt))
    }

    /// The call as manual pages write it. Unique.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Makes the call on memory of its own. A sandbox may kill for it.
    #[must_use]
    pub fn make(self) -> Answer {
        self.0.make().map_or_else(Answer::of, |()| Answer::Works)
    }
}

impl Answer {
    fn of(errno: Errno) -> Answer {
        match errno {
            Errno::ENOSYS
            | Errno::EINVAL
            | Errno::EOPNOTSUPP
            | Errno::ENOTTY
            | Errno::ENOENT
            | Errno::EBADF => Answer::Missing(errno.0),
            Errno::EPERM | Errno::EACCES => Answer::Denied(errno.0),
            _ => Answer::Failed(errno.0),
        }
    }

    /// As one number: 0, or the error's.
    #[must_use]
    pub fn errno(self) -> i32 {
        match self {
            Answer::Works => 0,
            Answer::Missing(errno) | Answer::Denied(errno) | Answer::Failed(errno) => errno,
        }
    }

    /// The answer behind such a number.
    #[must_use]
    pub fn from_errno(errno: i32) -> Answer {
        match errno {
            0 => Answer::Works,
            errno => Answer::of(Errno(errno)),
        }
    }

    /// The error in words; `None` when it works.
    #[must_use]
    pub fn reason(self) -> Option<String> {
        match self {
            Answer::Works => None,
            other => Some(Errno(other.errno()).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_by_their_errno() {
        assert_eq!(Answer::from_errno(38), Answer::Missing(38));
        assert_eq!(Answer::from_errno(1), Answer::Denied(1));
        assert_eq!(Answer::from_errno(12), Answer::Failed(12));
        for errno in [0, 1, 12, 38, 4000] {
            assert_eq!(Answer::from_errno(errno).errno(), errno);
        }
        assert_eq!(Answer::Works.reason(), None);
        assert!(Answer::Denied(1).reason().unwrap().contains("not permitted"));
    }

    #[test]
    fn a_plain_mapping_works() {
        let map = Attempt::all().find(|attempt| attempt.name() == "mmap").unwrap();
        assert_eq!(map.make(), Answer::Works);
    }
}
