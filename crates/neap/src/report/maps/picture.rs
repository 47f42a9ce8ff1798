//! The pages of a process as cells in a terminal: letters that tell all without colour, and colours.

use std::fmt::Write as _;

use super::ProcessMaps;
use super::text::{cut_name, title};
use crate::maps::picture::{Cell, Line, Look, Picture};
use crate::report::screen::{Role, Screen};
use crate::report::text::printable;
use crate::unit;

/// Lines of a picture in a terminal.
pub(crate) const LINES: usize = 40;
const ADDRESS_COLUMNS: usize = 14;

/// Cells that fit beside an address and a name.
pub(crate) fn columns(screen: &Screen) -> u64 {
    if screen.columns >= 100 { 64 } else { 48 }
}

/// The picture with its legend.
pub(crate) fn render(process: &ProcessMaps, picture: &Picture, screen: &Screen) -> String {
    let mut text = title(process, screen);
    let cell = unit::size(picture.cell_bytes);
    let head = format!("a cell is {cell}; upper case: all of it is there, lower case: some\n");
    let _ = writeln!(text, "{}", screen.paint(Role::Dim, &head));
    for line in &picture.lines {
        match line {
            Line::Free(bytes) => gap(&mut text, *bytes, "of free addresses", screen),
            Line::Nowhere(bytes) => gap(&mut text, *bytes, "mapped, not there", screen),
            Line::Cells { cells, names } => row(&mut text, cells, names, screen),
        }
    }
    text.push('\n');
    for look in Look::ALL {
        let bytes = picture.totals.get(&look).copied().unwrap_or(0);
        if bytes > 0 {
            let letter = tint(look, &look.letter().to_string(), screen);
            let _ = writeln!(text, "  {letter} {:>10}  {}", unit::size(bytes), look.meaning());
        }
    }
    text
}

fn gap(text: &mut String, bytes: u64, words: &str, screen: &Screen) {
    let line = format!("{:ADDRESS_COLUMNS$}~ {} {words}", "", unit::size(bytes));
    let _ = writeln!(text, "{}", screen.paint(Role::Dim, &line));
}

fn row(text: &mut String, cells: &[Cell], names: &[String], screen: &Screen) {
    let start = cells.first().map_or(0, |cell| cell.addresses.start);
    let _ = write!(text, "{}", screen.paint(Role::Dim, &format!("{start:>12x}  ")));
    for run in cells.chunk_by(|a, b| a.look == b.look) {
        let letters: String = run.iter().map(letter).collect();
        match run.first().and_then(|cell| cell.look) {
            Some(look) => text.push_str(&tint(look, &letters, screen)),
            None => text.push_str(&letters),
        }
    }
    let room = screen.columns.saturating_sub(ADDRESS_COLUMNS + cells.len() + 2);
    let names: Vec<&str> = names
        .iter()
        .map(|name| name.rsplit('/').next().unwrap_or(name))
        .collect();
    let names = names.join(" ");
    let line = format!("  {}", cut_name(&printable(&names), room));
    text.push_str(line.trim_end());
    text.push('\n');
}

/// The letter of a cell.
pub(super) fn letter(cell: &Cell) -> char {
    match cell.look {
        None => ' ',
        Some(look) if cell.there < cell.mapped => look.letter().to_ascii_lowercase(),
        Some(look) => look.letter(),
    }
}

fn tint(look: Look, letters: &str, screen: &Screen) -> String {
    let role = match look {
        Look::Anonymous | Look::Huge => Role::Good,
        Look::Neap => Role::Label,
        Look::File | Look::Shared => Role::Title,
        Look::Swapped | Look::Guard => Role::Bad,
        Look::Zero | Look::Absent => Role::Dim,
    };
    screen.paint(role, letters)
}
