//! Sizes, counts, shares and times, to and from text. Sizes are binary: 1 KiB is 1024 bytes.

use std::time::Duration;

const UNITS: [(&str, u64); 6] = [
    ("EiB", 1 << 60),
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

/// `1536` as `1.50 KiB`: three digits that count.
pub(crate) fn size(bytes: u64) -> String {
    // 999.5 KiB would print as a four-digit number, so the next unit starts a little early.
    let unit = UNITS.iter().find(|(_, unit)| bytes >= unit - unit / 2048);
    let Some((name, unit)) = unit else {
        return format!("{bytes} B");
    };
    let value = to_f64(bytes) / to_f64(*unit);
    let digits = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {name}")
}

/// A change: `+1.50 KiB`, `-4.00 KiB`, `0`.
pub(crate) fn signed_size(bytes: i64) -> String {
    match bytes {
        0 => "0".to_owned(),
        1.. => format!("+{}", size(bytes.unsigned_abs())),
        _ => format!("-{}", size(bytes.unsigned_abs())),
    }
}

/// `1 mapping`, `60 023 mappings`.
pub(crate) fn mappings(count_of: u64) -> String {
    let plural = if count_of == 1 { "" } else { "s" };
    format!("{} mapping{plural}", count(count_of))
}

/// `2G`, `512M`, `1.5GiB`, `4096`: K, M, G, T with or without `B` or `iB`, always powers of 1024.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let complaint = || format!("`{text}` is no size; write e.g. 512M, 1.5G or 4096");
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let letter = suffix.trim_start().to_ascii_lowercase();
    let factor: u64 = match letter.trim_end_matches("ib").trim_end_matches('b') {
        "" if !letter.contains('i') => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        _ => return Err(complaint()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 9 {
        return Err(complaint());
    }
    let whole: u64 = whole.parse().map_err(|_| complaint())?;
    let part = if fraction.is_empty() {
        0
    } else {
        let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
        let digits: u128 = fraction.parse().map_err(|_| complaint())?;
        u64::try_from(digits * u128::from(factor) / scale).unwrap_or(0)
    };
    let bytes = whole
        .checked_mul(factor)
        .and_then(|bytes| bytes.checked_add(part));
    bytes.filter(|&bytes| bytes > 0).ok_or_else(complaint)
}

/// `1234567` as `1 234 567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Nanoseconds as `812 µs`, `12.3 ms`, `1.23 s`, `12 min 3 s` or `2 h 4 min`.
pub(crate) fn time(ns: u64) -> String {
    let duration = Duration::from_nanos(ns);
    let seconds = duration.as_secs_f64();
    let whole = duration.as_secs();
    if seconds < 0.000_999_5 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 0.999_5 {
        three_digits(seconds * 1e3, "ms")
    } else if seconds < 99.95 {
        three_digits(seconds, "s")
    } else if whole < 3600 {
        format!("{} min {} s", whole / 60, whole % 60)
    } else {
        format!("{} h {} min", whole / 3600, whole % 3600 / 60)
    }
}

/// A share of one as whole percent, rounded down so that only all of it is `100 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", (share * 100.0).floor())
}

/// A number of at most 2^53 is exact; a greater one is right to 16 digits.
#[allow(clippy::cast_precision_loss, reason = "said in the line above")]
pub(crate) fn to_f64(number: u64) -> f64 {
    number as f64
}

fn three_digits(value: f64, unit: &str) -> String {
    let digits = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_have_three_digits() {
        let texts = [
            0,
            1023,
            1024,
            1536,
            10_230_000,
            512 << 20,
            (1 << 30) - 1,
            3 << 40,
            u64::MAX,
        ]
        .map(size);
        let wanted = [
            "0 B", "1023 B", "1.00 KiB", "1.50 KiB", "9.76 MiB", "512 MiB", "1.00 GiB", "3.00 TiB",
            "16.0 EiB",
        ];
        assert_eq!(texts, wanted);
    }

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for (text, bytes) in [
            ("4096", 4096),
            ("2G", 2 << 30),
            ("2g", 2 << 30),
            ("2GiB", 2 << 30),
            ("2 GB", 2 << 30),
            ("1.5K", 1536),
            ("0.5M", 512 << 10),
            ("7b", 7),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "G",
            "-1",
            "1.G.",
            "2X",
            "0",
            "2Gi B",
            "99999999999T",
            ".5G",
            "1iB",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_and_times_read_well() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(count),
            ["0", "999", "1 000", "1 234 567"]
        );
        let times = [
            0,
            812_000,
            12_340_000,
            999_600_000,
            1_234_000_000,
            723_000_000_000,
            7_440_000_000_000,
        ];
        assert_eq!(
            times.map(time),
            [
                "0 µs",
                "812 µs",
                "12.3 ms",
                "1.00 s",
                "1.23 s",
                "12 min 3 s",
                "2 h 4 min"
            ]
        );
        assert_eq!([0.999, 1.0, 0.0].map(percent), ["99 %", "100 %", "0 %"]);
    }

    #[test]
    fn changes_have_signs() {
        assert_eq!([1536, -4096, 0].map(signed_size), ["+1.50 KiB", "-4.00 KiB", "0"]);
        assert_eq!(signed_size(i64::MIN), "-8.00 EiB");
        assert_eq!([1, 2000].map(mappings), ["1 mapping", "2 000 mappings"]);
    }

    proptest! {
        #[test]
        fn any_text_is_a_size_or_a_complaint(text in "\\PC{0,12}") {
            let _ = parse_size(&text);
        }
    }
}
