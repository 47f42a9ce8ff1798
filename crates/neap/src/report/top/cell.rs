//! Figures as the texts of a table's cells.

use neap_proc::{Reading, Reason};

use super::Palette;
use crate::top::order::Column;
use crate::top::row::Row;
use crate::unit;

/// Columns that each column takes, with the blank before it.
pub(super) const fn width(column: Column) -> usize {
    match column {
        Column::Pid => 8,
        Column::User => 9,
        Column::Pss | Column::Uss | Column::Rss | Column::Swap => 9,
        Column::Growth => 10,
        Column::Faults => 8,
        Column::Cpu => 6,
        Column::Command => 12,
    }
}

/// The text of a cell, except of the command.
pub(super) fn text(row: &Row, column: Column, palette: &Palette) -> String {
    let footprint = &row.process.footprint;
    let rate =
        |rate: Option<f64>, text: fn(f64) -> String| rate.map_or_else(|| palette.not_yet().to_owned(), text);
    match column {
        Column::Pid => row.process.pid.to_string(),
        Column::User => row.user.as_deref().unwrap_or("n/a").to_owned(),
        Column::Pss => size(footprint.proportional_bytes, palette),
        Column::Uss => size(footprint.unique_bytes, palette),
        Column::Swap => size(footprint.swap_bytes, palette),
        Column::Rss => size(row.process.resident_bytes, palette),
        Column::Growth => rate(growth_of(row), growth),
        Column::Faults => rate(row.faults_per_second(), per_second),
        Column::Cpu => rate(row.rates.map(|rates| rates.cpu_share), |share| {
            percent(share * 100.0)
        }),
        Column::Command => row.command.to_string(),
    }
}

pub(super) fn growth_of(row: &Row) -> Option<f64> {
    row.rates?.resident_growth_bytes_per_second
}

/// A size, dots when it is still to be read, `n/a` when it is not to be had.
pub(super) fn size(reading: Reading<u64>, palette: &Palette) -> String {
    match reading {
        Reading::Value(bytes) => unit::size(bytes),
        Reading::Absent(Reason::NotYet) => palette.not_yet().to_owned(),
        Reading::Denied | Reading::Absent(_) => "n/a".to_owned(),
    }
}

/// A change in bytes with its sign; what is less than a byte is none.
pub(super) fn growth(bytes: f64) -> String {
    let size = unit::size(whole(bytes.abs()));
    match bytes.round() {
        0.0 => "0 B".to_owned(),
        bytes if bytes < 0.0 => format!("-{size}"),
        _ => format!("+{size}"),
    }
}

/// So many a second in at most six characters: one decimal below ten, thousands and millions from 100 000 on.
pub(super) fn per_second(rate: f64) -> String {
    match rate {
        _ if rate > 0.0 && rate < 9.95 => format!("{rate:.1}"),
        _ if rate < 99_999.5 => unit::count(whole(rate)),
        _ if rate < 999_500.0 => format!("{:.0}k", rate / 1e3),
        _ if rate < 99_950_000.0 => format!("{:.1}M", rate / 1e6),
        _ => format!("{:.0}M", rate / 1e6),
    }
}

/// One decimal below a hundred.
pub(super) fn percent(percent: f64) -> String {
    if percent < 99.95 {
        format!("{percent:.1}")
    } else {
        format!("{percent:.0}")
    }
}

/// A rate as the nearest whole number.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float beyond the range becomes its end"
)]
pub(super) fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sparkline::Charset;

    #[test]
    fn what_is_missing_is_never_a_number() {
        let palette = Palette::plain(Charset::Unicode);
        assert_eq!(size(Reading::Value(0), &palette), "0 B");
        assert_eq!(size(Reading::Denied, &palette), "n/a");
        assert_eq!(size(Reading::Absent(Reason::NotInThisKernel), &palette), "n/a");
        assert_eq!(size(Reading::Absent(Reason::NotYet), &palette), "…");
    }

    #[test]
    fn rates_are_short_and_have_signs() {
        assert_eq!(
            [0.0, 0.4, 1536.0, -1536.0].map(growth),
            ["0 B", "0 B", "+1.50 KiB", "-1.50 KiB"]
        );
        assert_eq!(
            [0.0, 0.5, 9.96, 12_345.6].map(per_second),
            ["0", "0.5", "10", "12 346"]
        );
        assert_eq!([0.0, 99.94, 1600.0].map(percent), ["0.0", "99.9", "1600"]);
    }

    #[test]
    fn every_cell_fits_its_column_with_a_blank() {
        for text in [
            unit::size((1 << 20) - 1),
            unit::size(1023 << 40),
            growth(-1e12),
            growth(1.07e9),
        ] {
            assert!(text.len() < width(Column::Growth), "{text}");
        }
        assert!(unit::size(u64::MAX).len() < width(Column::Pss));
        // 2^22 is the most that pid_max can be.
        assert!("4194304".len() < width(Column::Pid) && percent(102_400.0).len() <= width(Column::Cpu));
        assert!(per_second(99_999.0).len() < width(Column::Faults));
    }
}
