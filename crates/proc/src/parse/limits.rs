//! `/proc/PID/limits`: resource limits, soft and hard.

use super::lines;

/// A bound that may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `unlimited`, or `max` in a cgroup's file.
    Unlimited,
    /// That many of the limit's unit.
    At(u64),
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What holds now.
    pub soft: Bound,
    /// How far an unprivileged process may raise it.
    pub hard: Bound,
}

/// The rows that neap uses. Sizes are in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// RLIMIT_AS.
    pub address_space: Option<Limit>,
    /// RLIMIT_DATA.
    pub data: Option<Limit>,
    /// RLIMIT_STACK.
    pub stack: Option<Limit>,
    /// RLIMIT_MEMLOCK.
    pub locked: Option<Limit>,
    /// RLIMIT_NPROC, which counts threads.
    pub processes: Option<Limit>,
    /// RLIMIT_NOFILE.
    pub open_files: Option<Limit>,
    /// Lines that are none of these rows, or rows of another form; the heading is not counted.
    pub unknown_lines: usize,
}

impl Bound {
    /// `unlimited`, `max` or a number.
    #[must_use]
    pub fn parse(word: &[u8]) -> Option<Bound> {
        match word {
            b"unlimited" | b"max" => Some(Bound::Unlimited),
            number => lines::number(number).map(Bound::At),
        }
    }
}

impl Limits {
    /// Reads what rows there are.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Limits {
        let mut limits = Limits::default();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            if !line.starts_with(b"Limit ") {
                limits.unknown_lines += usize::from(limits.take(line).is_none());
            }
        }
        limits
    }

    fn take(&mut self, line: &[u8]) -> Option<()> {
        let rows = [
            (&b"Max address space "[..], &mut self.address_space),
            (b"Max data size ", &mut self.data),
            (b"Max stack size ", &mut self.stack),
            (b"Max locked memory ", &mut self.locked),
            (b"Max processes ", &mut self.processes),
            (b"Max open files ", &mut self.open_files),
        ];
        let mut rows = rows.into_iter();
        let (rest, row) = rows.find_map(|(name, row)| Some((line.strip_prefix(name)?, row)))?;
        *row = Some(Limit::parse(rest)?);
        Some(())
    }
}

impl Limit {
    fn parse(rest: &[u8]) -> Option<Limit> {
        let mut words = lines::words(rest);
        Some(Limit {
            soft: Bound::parse(words.next()?)?,
            hard: Bound::parse(words.next()?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux 6.18, shortened.
    const TEXT: &[u8] = b"Limit                     Soft Limit           Hard Limit           Units     \n\
        Max data size             unlimited            unlimited            bytes     \n\
        Max stack size            8388608              unlimited            bytes     \n\
        Max processes             96101                96101                processes \n\
        Max locked memory         8388608              8388608              bytes     \n\
        Max address space         104857600            unlimited            bytes     \n";

    #[test]
    fn bounds_are_numbers_or_unlimited() {
        let limits = Limits::parse(TEXT);
        let at = |soft, hard| Some(Limit { soft, hard });
        assert_eq!(limits.address_space, at(Bound::At(104_857_600), Bound::Unlimited));
        assert_eq!(limits.data, at(Bound::Unlimited, Bound::Unlimited));
        assert_eq!(limits.processes, at(Bound::At(96_101), Bound::At(96_101)));
        assert_eq!(
            limits.open_files, None,
            "a row that is not there is no limit of 0"
        );
        assert_eq!(limits.unknown_lines, 0);
    }

    #[test]
    fn a_row_of_another_form_is_none() {
        assert_eq!(Limits::parse(b"Max data size lots more bytes\n").data, None);
        assert_eq!(Limits::parse(b"Max data size 1\n").data, None);
        let rest = Limits::parse(b"Max data size 1\nMax nice priority 0 0\nMax processes 1 2 processes\n");
        assert_eq!((rest.unknown_lines, rest.processes.is_some()), (2, true));
    }
}
