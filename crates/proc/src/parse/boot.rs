//! `/proc/uptime` and the line `btime` of `/proc/stat`: when the machine was started.
//!
//! Start times in `/proc/PID/stat` are ticks after that. Sources: proc_uptime(5), proc_stat(5).

use super::lines;

/// The first number of `/proc/uptime` in nanoseconds; the kernel writes hundredths of a second.
#[must_use]
pub fn uptime_ns(bytes: &[u8]) -> Option<u64> {
    let word = lines::words(bytes).next()?;
    let point = word.iter().position(|&byte| byte == b'.')?;
    let (whole, rest) = word.split_at(point);
    let hundredths = rest.get(1..).filter(|digits| digits.len() == 2)?;
    let seconds = lines::number(whole)?.checked_mul(1_000_000_000)?;
    seconds.checked_add(lines::number(hundredths)? * 10_000_000)
}

/// `btime` of `/proc/stat`: seconds since 1970. The kernel works it out from the clock of the day, so it
/// moves when that is set.
#[must_use]
pub fn boot_time_seconds(bytes: &[u8]) -> Option<u64> {
    bytes
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(b"btime "))
        .and_then(|value| lines::number(value.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hundredths_of_a_second_are_kept() {
        assert_eq!(uptime_ns(b"0.07 0.01\n"), Some(70_000_000));
        assert_eq!(uptime_ns(b"350735.47 234388.90\n"), Some(350_735_470_000_000));
    }

    #[test]
    fn another_form_is_none() {
        for text in ["", "12", "12.5 1", "x.00", "18446744073709551615.00", "-1.00"] {
            assert_eq!(uptime_ns(text.as_bytes()), None, "{text}");
        }
        assert_eq!(boot_time_seconds(b"cpu 1\nxbtime 5\n"), None);
        assert_eq!(boot_time_seconds(b"cpu 1\nbtime 17\n"), Some(17));
    }
}
