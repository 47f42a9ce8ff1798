//! The table of free(1), byte for byte as procps 4 prints it.

use std::fmt::Write as _;

use crate::free::procps::{Numbers, Row, Scale};

/// Which lines and columns there are besides the usual ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    pub(crate) low_and_high: Shown,
    pub(crate) total: Shown,
    pub(crate) committed: Shown,
    /// Buffers and cache apart.
    pub(crate) wide: Shown,
}

/// Whether a line is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shown {
    #[default]
    No,
    Yes,
}

impl From<bool> for Shown {
    fn from(asked: bool) -> Shown {
        if asked { Shown::Yes } else { Shown::No }
    }
}

/// The table, newline at the end.
pub(crate) fn render(numbers: &Numbers, scale: Scale, lines: Lines) -> String {
    let wide = lines.wide == Shown::Yes;
    let mut text = format!("{:>20}", "total");
    let names: &[&str] = if wide {
        &["used", "free", "shared", "buffers", "cache", "available"]
    } else {
        &["used", "free", "shared", "buff/cache", "available"]
    };
    for name in names {
        let _ = write!(text, "{name:>12}");
    }
    text.push('\n');
    let cells = |row: Row| vec![row.total, row.used, row.free];
    let mut memory = cells(numbers.memory);
    memory.push(numbers.shared);
    if wide {
        memory.extend([numbers.buffers, numbers.cache]);
    } else {
        memory.push(numbers.buffers + numbers.cache);
    }
    memory.push(numbers.available);
    let rows = [
        (Shown::Yes, "Mem:", memory),
        (lines.low_and_high, "Low:", cells(numbers.low)),
        (lines.low_and_high, "High:", cells(numbers.high)),
        (Shown::Yes, "Swap:", cells(numbers.swap)),
        (lines.total, "Total:", cells(numbers.sum())),
        (lines.committed, "Comm:", cells(numbers.committed)),
    ];
    for (_, label, cells) in rows.into_iter().filter(|(shown, ..)| *shown == Shown::Yes) {
        let _ = write!(text, "{label:<8}");
        for cell in cells {
            let _ = write!(text, " {:>11}", scale.text(cell));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use neap_proc::parse::Meminfo;

    #[test]
    fn the_table_is_that_of_free() {
        let fixture = include_bytes!("../../../../proc/tests/fixtures/linux-4.4/proc/meminfo");
        let numbers = Numbers::of(&Meminfo::parse(fixture));
        let lines = Lines {
            low_and_high: Shown::Yes,
            total: Shown::Yes,
            committed: Shown::No,
            wide: Shown::Yes,
        };
        let wanted =
            "               total        used        free      shared     buffers       cache   available
Mem:         4045112     1233548      182340      101424      210988     2659456     2811564
Low:         4045112     3862772      182340
High:              0           0           0
Swap:        4191228        3216     4188012
Total:       8236340     1236764     4370352
";
        assert_eq!(render(&numbers, Scale::Binary(1), lines), wanted);
    }
}
