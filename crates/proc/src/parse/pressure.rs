//! `/proc/pressure/memory` (4.20, CONFIG_PSI) and `memory.pressure` of a group: time lost for want of memory.
//!
//! Shares are kept in hundredths of a percent, which is all that the kernel writes: no rounding on the way.
//! A machine started with psi=0 has the file and reading it fails. Source: Documentation/accounting/psi.rst.

use super::lines;

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalled {
    /// Share of the last 10 seconds, in hundredths of a percent.
    pub last_10_seconds: u32,
    /// Share of the last minute, in hundredths of a percent.
    pub last_60_seconds: u32,
    /// Share of the last five minutes, in hundredths of a percent.
    pub last_300_seconds: u32,
    /// All of it, in microseconds.
    pub total_microseconds: u64,
}

/// Both lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// At least one task waited.
    pub some: Option<Stalled>,
    /// All tasks waited.
    pub full: Option<Stalled>,
    /// Lines that are neither.
    pub unknown_lines: usize,
}

impl Pressure {
    /// Reads what lines there are.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Pressure {
        let mut pressure = Pressure::default();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match (line.split_at_checked(5), Stalled::parse(line)) {
                (Some((b"some ", _)), Some(stalled)) => pressure.some = Some(stalled),
                (Some((b"full ", _)), Some(stalled)) => pressure.full = Some(stalled),
                _ => pressure.unknown_lines += 1,
            }
        }
        pressure
    }
}

impl Stalled {
    fn parse(line: &[u8]) -> Option<Stalled> {
        let value = |key: &[u8]| lines::words(line).find_map(|word| word.strip_prefix(key));
        Some(Stalled {
            last_10_seconds: hundredths(value(b"avg10=")?)?,
            last_60_seconds: hundredths(value(b"avg60=")?)?,
            last_300_seconds: hundredths(value(b"avg300=")?)?,
            total_microseconds: lines::number(value(b"total=")?)?,
        })
    }
}

/// `12.34` as 1234.
fn hundredths(word: &[u8]) -> Option<u32> {
    let point = word.iter().position(|&byte| byte == b'.')?;
    let (whole, rest) = word.split_at(point);
    let decimals = rest.get(1..).filter(|digits| digits.len() == 2)?;
    let (whole, decimals) = (lines::number(whole)?, lines::number(decimals)?);
    u32::try_from(whole.checked_mul(100)?.checked_add(decimals)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_come_out_in_hundredths() {
        let pressure = Pressure::parse(include_bytes!(
            "../../tests/fixtures/linux-6.1/proc/pressure/memory"
        ));
        let some = pressure.some.unwrap();
        assert_eq!((some.last_10_seconds, some.last_60_seconds), (153, 87));
        assert_eq!((some.last_300_seconds, some.total_microseconds), (26, 12_345_678));
        assert_eq!(pressure.full.unwrap().last_10_seconds, 5);
    }

    #[test]
    fn a_line_of_another_form_is_none() {
        let pressure = Pressure::parse(b"some avg10=1.5 avg60=0.00 avg300=0.00 total=1\nmost x\n");
        assert_eq!((pressure.some, pressure.unknown_lines), (None, 2));
    }
}
