//! The memory of the machine, as the lines above both screens.

use neap_proc::Reading;
use neap_proc::parse::Stalled;
use ratatui::text::{Line, Span};

use super::palette::{Palette, Tone};
use crate::top::machine::MachineMemory;
use crate::unit;

/// Columns of the word before each line.
const LABEL_COLUMNS: usize = 6;
/// A bar shorter than that says nothing.
const BAR_MIN: usize = 20;
const BAR_MAX: usize = 60;

/// Lines of [`lines`].
pub(super) const LINES: u16 = 3;

/// Memory, swap, and how long tasks waited for memory.
pub(super) fn lines(machine: &MachineMemory, columns: usize, palette: &Palette) -> Vec<Line<'static>> {
    vec![
        memory(machine, columns, palette),
        swap(machine, columns, palette),
        pressure(machine, palette),
    ]
}

fn memory(machine: &MachineMemory, columns: usize, palette: &Palette) -> Line<'static> {
    let (Some(total), Some(used)) = (machine.total_bytes.value(), machine.used_bytes.value()) else {
        return missing("Mem", why(&[machine.total_bytes, machine.used_bytes]), palette);
    };
    let mut texts = vec![format!("used {} of {}", unit::size(used), unit::size(total))];
    let more = [
        ("available", machine.available_bytes),
        ("cache", machine.cache_bytes),
    ];
    for (word, bytes) in more {
        texts.extend(bytes.value().map(|bytes| format!("{word} {}", unit::size(bytes))));
    }
    // Available is free memory and what of the cache can go, so the three parts of the bar are all there is.
    let free = machine.free_bytes.value().unwrap_or(0);
    let reclaimable = machine.available_bytes.value().unwrap_or(0).saturating_sub(free);
    let parts = [(used, Tone::Used), (reclaimable, Tone::Cache)];
    line("Mem", total, &parts, texts, columns, palette)
}

fn swap(machine: &MachineMemory, columns: usize, palette: &Palette) -> Line<'static> {
    match (machine.swap_total_bytes.value(), machine.swap_used_bytes.value()) {
        (Some(0), _) => Line::from(vec![label("Swap", palette), Span::raw("none")]),
        (Some(total), Some(used)) => {
            let texts = vec![format!("used {} of {}", unit::size(used), unit::size(total))];
            line("Swap", total, &[(used, Tone::Used)], texts, columns, palette)
        }
        _ => missing(
            "Swap",
            why(&[machine.swap_total_bytes, machine.swap_used_bytes]),
            palette,
        ),
    }
}

fn pressure(machine: &MachineMemory, palette: &Palette) -> Line<'static> {
    let share = |stalled: Reading<Stalled>| stalled.map(|stalled| u64::from(stalled.last_10_seconds));
    let (some, full) = (share(machine.pressure_some), share(machine.pressure_full));
    let (Some(some_share), Some(full_share)) = (some.value(), full.value()) else {
        return missing("PSI", why(&[some, full]), palette);
    };
    let percent = |hundredths: u64| format!("{}.{:02} %", hundredths / 100, hundredths % 100);
    let waits = if full_share > 0 { Tone::Bad } else { Tone::Plain };
    let text = format!("some {}, full {}", percent(some_share), percent(full_share));
    Line::from(vec![
        label("PSI", palette),
        Span::styled(text, palette.style(waits)),
        Span::styled(" of the last 10 s waited for memory", palette.style(Tone::Dim)),
    ])
}

/// A bar and as many of the texts as leave room for it.
fn line(
    word: &'static str,
    total: u64,
    parts: &[(u64, Tone)],
    mut texts: Vec<String>,
    columns: usize,
    palette: &Palette,
) -> Line<'static> {
    let text_columns = |texts: &[String]| {
        texts
            .iter()
            .map(|text| text.len() + 2)
            .sum::<usize>()
            .saturating_sub(1)
    };
    let room = columns.saturating_sub(LABEL_COLUMNS + 2);
    while texts.len() > 1 && text_columns(&texts) + BAR_MIN > room {
        texts.pop();
    }
    let bar = room.saturating_sub(text_columns(&texts)).clamp(BAR_MIN, BAR_MAX);
    let mut spans = vec![label(word, palette), Span::raw("[")];
    let mut left = bar;
    for (bytes, tone) in parts {
        let cells = cells(*bytes, total, bar).min(left);
        left -= cells;
        spans.push(Span::styled(
            block(*tone, palette).repeat(cells),
            palette.style(*tone),
        ));
    }
    spans.push(Span::raw(" ".repeat(left)));
    spans.push(Span::raw("]"));
    for (index, text) in texts.into_iter().enumerate() {
        let gap = if index == 0 { " " } else { ", " };
        spans.push(Span::raw(format!("{gap}{text}")));
    }
    Line::from(spans)
}

fn block(tone: Tone, palette: &Palette) -> &'static str {
    match (tone, palette.is_unicode()) {
        (Tone::Used, true) => "█",
        (_, true) => "▒",
        (Tone::Used, false) => "#",
        (_, false) => "=",
    }
}

/// Cells of a share, to the nearest.
fn cells(bytes: u64, total: u64, columns: usize) -> usize {
    let (bytes, total) = (u128::from(bytes), u128::from(total.max(1)));
    let cells = (bytes * columns as u128 * 2 + total) / (total * 2);
    usize::try_from(cells).unwrap_or(columns).min(columns)
}

fn label(word: &'static str, palette: &Palette) -> Span<'static> {
    Span::styled(format!("{word:LABEL_COLUMNS$}"), palette.style(Tone::Label))
}

fn missing(word: &'static str, why: String, palette: &Palette) -> Line<'static> {
    let text = Span::styled(format!("n/a ({why})"), palette.style(Tone::Dim));
    Line::from(vec![label(word, palette), text])
}

fn why(readings: &[Reading<u64>]) -> String {
    let reason = readings.iter().find_map(Reading::reason);
    reason.unwrap_or_else(|| "the kernel did not say".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sparkline::Charset;
    use neap_proc::Reason;

    fn machine() -> MachineMemory {
        let stalled = Stalled {
            last_10_seconds: 153,
            last_60_seconds: 0,
            last_300_seconds: 0,
            total_microseconds: 0,
        };
        MachineMemory {
            total_bytes: Reading::Value(16 << 30),
            used_bytes: Reading::Value(4 << 30),
            available_bytes: Reading::Value(12 << 30),
            free_bytes: Reading::Value(4 << 30),
            cache_bytes: Reading::Value(9 << 30),
            swap_total_bytes: Reading::Value(0),
            swap_used_bytes: Reading::Value(0),
            pressure_some: Reading::Value(stalled),
            pressure_full: Reading::Absent(Reason::NotInThisKernel),
            up_ns: Reading::Value(0),
        }
    }

    fn texts(machine: &MachineMemory, columns: usize) -> Vec<String> {
        let lines = lines(machine, columns, &Palette::plain(Charset::Ascii));
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn parts_of_the_bar_are_shares_of_all_memory() {
        let memory = &texts(&machine(), 94)[0];
        let bar: String = memory
            .chars()
            .skip_while(|c| *c != '[')
            .skip(1)
            .take_while(|c| *c != ']')
            .collect();
        let count = |letter| bar.chars().filter(|c| *c == letter).count();
        assert_eq!(
            (count('#') * 4, count('=') * 2),
            (bar.len(), bar.len()),
            "{memory}"
        );
        assert!(memory.ends_with("used 4.00 GiB of 16.0 GiB, available 12.0 GiB, cache 9.00 GiB"));
    }

    #[test]
    fn a_narrow_terminal_drops_texts_and_keeps_a_bar() {
        let memory = &texts(&machine(), 60)[0];
        assert_eq!(memory.len(), 60, "{memory}");
        assert!(memory.ends_with("] used 4.00 GiB of 16.0 GiB"), "{memory}");
    }

    #[test]
    fn no_swap_is_said_and_a_missing_pressure_has_its_reason() {
        let lines = texts(&machine(), 80);
        assert_eq!(lines[1], "Swap  none");
        assert_eq!(lines[2], "PSI   n/a (not in this kernel)");
        assert_eq!(
            texts(&MachineMemory::not_yet(), 80)[0],
            "Mem   n/a (not read yet)"
        );
    }
}
