//! `/proc/PID/stat`: identity, times and faults of one process. Zombies have it too.

use super::{Malformed, lines};

/// What a process is doing, by the kernel's letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// R.
    Running,
    /// S.
    Sleeping,
    /// D: asleep where no signal wakes it; also a parent in vfork(2).
    Waiting,
    /// T or t.
    Stopped,
    /// Z: ended, its parent has not asked for the exit status.
    Zombie,
    /// X.
    Dead,
    /// I and whatever a later kernel adds.
    Other(u8),
}

/// The columns that neap uses. Times are in clock ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Column 1.
    pub pid: u32,
    /// Column 2 without its brackets; at most 15 bytes, and any bytes.
    pub comm: String,
    /// Column 3.
    pub state: State,
    /// Column 4.
    pub ppid: u32,
    /// Column 5.
    pub pgrp: i64,
    /// Column 10.
    pub minor_faults: u64,
    /// Column 11: of children that ended and were waited for, and of theirs.
    pub children_minor_faults: u64,
    /// Column 12.
    pub major_faults: u64,
    /// Column 13.
    pub children_major_faults: u64,
    /// Column 14.
    pub user_ticks: u64,
    /// Column 15.
    pub system_ticks: u64,
    /// Column 20.
    pub threads: u64,
    /// Column 22: ticks after boot. With the pid it names a process for good.
    pub start_ticks: u64,
    /// Column 23.
    pub size_bytes: u64,
    /// Column 24.
    pub resident_pages: u64,
    /// Column 28: the address at which the stack began. `None` when the kernel keeps it from this user, who
    /// then reads 0.
    pub stack_start: Option<u64>,
}

impl State {
    /// `None` unless the word is one letter.
    fn parse(word: &[u8]) -> Option<State> {
        Some(match word {
            b"R" => State::Running,
            b"S" => State::Sleeping,
            b"D" => State::Waiting,
            b"T" | b"t" => State::Stopped,
            b"Z" => State::Zombie,
            b"X" | b"x" => State::Dead,
            [other] if other.is_ascii_alphabetic() => State::Other(*other),
            _ => return None,
        })
    }
}

impl Stat {
    /// Reads the row. The name may hold blanks and brackets, so it ends at the *last* `)`.
    ///
    /// # Errors
    /// [`Malformed`] when a column is missing or no number.
    pub fn parse(bytes: &[u8]) -> Result<Stat, Malformed> {
        let open = bytes
            .iter()
            .position(|&b| b == b'(')
            .ok_or(Malformed { field: "comm" })?;
        let close = bytes
            .iter()
            .rposition(|&b| b == b')')
            .ok_or(Malformed { field: "comm" })?;
        let comm = bytes.get(open + 1..close).ok_or(Malformed { field: "comm" })?;
        let (before, after) = (
            bytes.get(..open).unwrap_or_default(),
            bytes.get(close + 1..).unwrap_or_default(),
        );
        let columns: Vec<&[u8]> = lines::words(after).take(26).collect();
        // `columns` starts at column 3 of proc(5).
        let text = |column: usize, field| columns.get(column - 3).copied().ok_or(Malformed { field });
        let count = |column, field| lines::number(text(column, field)?).ok_or(Malformed { field });
        let pid = lines::number(before.trim_ascii()).and_then(|pid| u32::try_from(pid).ok());
        Ok(Stat {
            pid: pid.ok_or(Malformed { field: "pid" })?,
            comm: String::from_utf8_lossy(comm).into_owned(),
            state: State::parse(text(3, "state")?).ok_or(Malformed { field: "state" })?,
            ppid: u32::try_from(count(4, "ppid")?).map_err(|_| Malformed { field: "ppid" })?,
            pgrp: signed(text(5, "pgrp")?).ok_or(Malformed { field: "pgrp" })?,
            minor_faults: count(10, "minflt")?,
            children_minor_faults: count(11, "cminflt")?,
            major_faults: count(12, "majflt")?,
            children_major_faults: count(13, "cmajflt")?,
            user_ticks: count(14, "utime")?,
            system_ticks: count(15, "stime")?,
            threads: count(20, "num_threads")?,
            start_ticks: count(22, "starttime")?,
            size_bytes: count(23, "vsize")?,
            resident_pages: count(24, "rss")?,
            stack_start: count(28, "startstack").ok().filter(|start| *start > 1),
        })
    }
}

fn signed(word: &[u8]) -> Option<i64> {
    core::str::from_utf8(word).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAT: &[u8] = b"3412 (cat) R 3400 3412 3400 34816 3412 4194304 105 7 2 8 3 4 0 0 20 0 1 0 123456 5750784 432 18446744073709551615 94 95 140 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 1 2 3 4 5 6 7 0\n";

    #[test]
    fn columns_come_from_their_places() {
        let stat = Stat::parse(CAT).unwrap();
        assert_eq!(
            (stat.pid, stat.comm.as_str(), stat.state, stat.ppid),
            (3412, "cat", State::Running, 3400)
        );
        assert_eq!((stat.minor_faults, stat.major_faults), (105, 2));
        assert_eq!((stat.children_minor_faults, stat.children_major_faults), (7, 8));
        assert_eq!((stat.user_ticks, stat.system_ticks, stat.threads), (3, 4, 1));
        assert_eq!(
            (stat.start_ticks, stat.size_bytes, stat.resident_pages),
            (123_456, 5_750_784, 432)
        );
        assert_eq!(stat.stack_start, Some(140));
        let denied = String::from_utf8_lossy(CAT).replace(" 140 ", " 0 ");
        assert_eq!(Stat::parse(denied.as_bytes()).unwrap().stack_start, None);
    }

    #[test]
    fn a_name_may_hold_brackets_and_blanks() {
        let text = String::from_utf8_lossy(CAT).replace("(cat)", "(a) R 1 (b)");
        let stat = Stat::parse(text.as_bytes()).unwrap();
        assert_eq!((stat.comm.as_str(), stat.ppid), ("a) R 1 (b", 3400));
    }

    #[test]
    fn a_row_cut_short_names_what_is_missing() {
        assert_eq!(Stat::parse(b"1 (a) S 1"), Err(Malformed { field: "pgrp" }));
        assert_eq!(Stat::parse(b"1 (a) 7 1 1"), Err(Malformed { field: "state" }));
        assert_eq!(Stat::parse(b"1 )a("), Err(Malformed { field: "comm" }));
        assert_eq!(Stat::parse(b""), Err(Malformed { field: "comm" }));
    }
}
