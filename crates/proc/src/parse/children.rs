//! `/proc/PID/task/TID/children`: pids in a row. Needs CONFIG_PROC_CHILDREN.

use super::lines;

/// The pids; words that are no pid are left out.
#[must_use]
pub fn children(bytes: &[u8]) -> Vec<u32> {
    lines::words(bytes)
        .filter_map(|word| u32::try_from(lines::number(word)?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pids_are_read_and_rubbish_is_left_out() {
        assert_eq!(children(b"12 345 6 "), [12, 345, 6]);
        assert_eq!(children(b"1 x -2 99999999999 3"), [1, 3]);
        assert!(children(b"").is_empty());
    }
}
