//! RSS by kind over time, stacked, and the address space in one line.
//!
//! With colours and Unicode a kind is a colour and blocks have eighths; without, a kind is its letter.

use neap_proc::model::Kind;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::palette::{Palette, Tone};
use crate::top::follower::Stretch;
use crate::top::history::{History, KINDS, Point};
use crate::unit;

/// Columns of the scale at the left.
pub(super) const SCALE_COLUMNS: usize = 10;
const EIGHTHS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// How much of a cell of the address space is resident.
const SHADES: [char; 4] = ['░', '▒', '▓', '█'];

/// The chart in so many columns and lines, the scale among them. Kinds are stacked in the order of `order`,
/// the first at the bottom.
pub(super) fn stacked(
    history: &History,
    order: &[Kind],
    columns: usize,
    lines: usize,
    palette: &Palette,
) -> Vec<Line<'static>> {
    let points = history.columns(columns.saturating_sub(SCALE_COLUMNS));
    let top = history.peak_bytes().unwrap_or(0).max(1);
    let line = |from_top: usize| {
        let scale = match from_top {
            0 => unit::size(top),
            line if line + 1 == lines => "0".to_owned(),
            _ => String::new(),
        };
        let width = SCALE_COLUMNS - 1;
        let mut spans = vec![Span::styled(
            format!("{scale:>width$} "),
            palette.style(Tone::Dim),
        )];
        let level = lines - 1 - from_top;
        spans.extend(points.iter().map(|point| match point {
            Some(point) => {
                let (letter, style) = cell(point, order, level, lines, top, palette);
                Span::styled(letter.to_string(), style)
            }
            None => Span::raw(" "),
        }));
        Line::from(spans)
    };
    (0..lines).map(line).collect()
}

/// A cell of a column: the kind that fills most of it, and how full it is.
fn cell(
    point: &Point,
    order: &[Kind],
    level: usize,
    lines: usize,
    top: u64,
    palette: &Palette,
) -> (char, Style) {
    let (lines, top) = (lines as u128, u128::from(top));
    // All in units of a `lines`-th byte, so that the edges of cells are whole numbers.
    let (low, high) = (top * level as u128, top * (level as u128 + 1));
    let inside = |from: u128, to: u128| to.min(high).saturating_sub(from.max(low));
    let total = u128::from(point.resident_bytes) * lines;
    let full = inside(0, total);
    let filled = full * 8 / top;
    let Some(kinds) = point.kinds else {
        let letter = if palette.is_unicode() { eighth(filled) } else { '#' };
        let shown = if palette.is_unicode() {
            filled > 0
        } else {
            filled >= 4
        };
        return (if shown { letter } else { ' ' }, palette.style(Tone::Used));
    };
    let mut from = 0;
    let mut most: Option<(u128, Kind)> = None;
    for kind in order {
        let to = from + u128::from(bytes_of(&kinds, *kind)) * lines;
        let share = inside(from, to);
        if share > most.map_or(0, |(most, _)| most) {
            most = Some((share, *kind));
        }
        from = to;
    }
    match most {
        Some((_, kind)) if palette.has_blocks() && filled > 0 => (eighth(filled), palette.kind(kind)),
        Some((_, kind)) if !palette.has_blocks() && filled >= 4 => {
            (Palette::letter(kind), palette.kind(kind))
        }
        _ => (' ', Style::new()),
    }
}

fn eighth(filled: u128) -> char {
    let index = usize::try_from(filled).unwrap_or(8).clamp(1, 8) - 1;
    EIGHTHS.get(index).copied().unwrap_or(' ')
}

fn bytes_of(kinds: &[u64; KINDS], kind: Kind) -> u64 {
    let at = Kind::ALL.iter().position(|other| *other == kind);
    at.and_then(|at| kinds.get(at)).copied().unwrap_or(0)
}

/// The address space from low to high addresses. A stretch's width grows with the logarithm of its length,
/// so that a library is seen beside a terabyte that is only reserved; the shade tells how much of it is
/// resident.
pub(super) fn addresses(stretches: &[Stretch], columns: usize, palette: &Palette) -> Line<'static> {
    let weights: Vec<u64> = stretches.iter().map(weight).collect();
    let total: u64 = weights.iter().sum();
    let mut spans = Vec::with_capacity(columns);
    let mut ends = 0;
    let mut next = weights.iter().zip(stretches).map(|(weight, stretch)| {
        ends += weight;
        (ends, *stretch)
    });
    let mut current = next.next();
    for column in 0..columns as u64 {
        // The stretch in the middle of the cell; a cell of many small ones shows one of them.
        let middle = (2 * column + 1) * total / (2 * columns as u64).max(1);
        while let Some((end, _)) = current {
            if middle < end {
                break;
            }
            current = next.next();
        }
        let Some((_, stretch)) = current else { break };
        spans.push(Span::styled(
            shade(&stretch, palette).to_string(),
            palette.kind(stretch.kind),
        ));
    }
    Line::from(spans)
}

fn weight(stretch: &Stretch) -> u64 {
    let pages = (stretch.mapped_bytes >> 12).max(1);
    2 + u64::from(pages.ilog2())
}

/// A shade in the kind's colour; else its letter: a capital when at least half is resident, small when less,
/// a point when nothing is.
fn shade(stretch: &Stretch, palette: &Palette) -> char {
    let eighths = u128::from(stretch.resident_bytes) * 8 / u128::from(stretch.mapped_bytes.max(1));
    if !palette.has_blocks() {
        let letter = Palette::letter(stretch.kind);
        return match (stretch.resident_bytes, eighths) {
            (0, _) => '.',
            (_, 4..) => letter,
            _ => letter.to_ascii_lowercase(),
        };
    }
    let index = match eighths {
        0 => 0,
        1..=3 => 1,
        4..=6 => 2,
        _ => 3,
    };
    SHADES.get(index).copied().unwrap_or('?')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sparkline::Charset;

    const ORDER: [Kind; 2] = [Kind::Anonymous, Kind::Library];

    fn history(points: &[(u64, u64)]) -> History {
        let mut history = History::default();
        for (at, (anonymous, library)) in points.iter().enumerate() {
            let mut kinds = [0; KINDS];
            kinds[3] = *library;
            kinds[5] = *anonymous;
            history.push(Point {
                at_ns: at as u64,
                resident_bytes: anonymous + library,
                kinds: Some(kinds),
            });
        }
        history
    }

    fn drawn(history: &History, palette: &Palette) -> Vec<String> {
        let lines = stacked(history, &ORDER, SCALE_COLUMNS + 4, 4, palette);
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn kinds_are_stacked_from_the_bottom() {
        let history = history(&[(1024, 1024), (3072, 1024), (0, 1024)]);
        let lines = drawn(&history, &Palette::plain(Charset::Ascii));
        assert_eq!(
            lines,
            [
                " 4.00 KiB  L  ",
                "           A  ",
                "          LA  ",
                "        0 AAL "
            ]
        );
    }

    #[test]
    fn blocks_have_eighths() {
        let history = history(&[(4096, 0), (1536, 0)]);
        let lines = drawn(&history, &Palette::coloured());
        assert_eq!(lines[2], "          █▄  ");
        assert_eq!(lines[3], "        0 ██  ");
    }

    #[test]
    fn rss_without_kinds_is_drawn_too() {
        let mut history = History::default();
        history.push(Point {
            at_ns: 0,
            resident_bytes: 8,
            kinds: None,
        });
        assert_eq!(
            drawn(&history, &Palette::plain(Charset::Ascii))[0],
            "      8 B #   "
        );
    }

    #[test]
    fn the_address_space_shows_the_small_beside_the_huge() {
        let stretch = |kind, mapped_bytes, resident_bytes| Stretch {
            kind,
            mapped_bytes,
            resident_bytes,
        };
        let stretches = [
            stretch(Kind::Program, 1 << 16, 1 << 16),
            stretch(Kind::Anonymous, 1 << 40, 4096),
            stretch(Kind::Library, 1 << 20, 1 << 18),
            stretch(Kind::Stack, 1 << 17, 0),
        ];
        let line = addresses(&stretches, 24, &Palette::plain(Charset::Ascii)).to_string();
        assert_eq!(line, "PPPaaaaaaaaaaaaalllll...");
        assert_eq!(addresses(&[], 24, &Palette::coloured()).to_string(), "");
    }
}
