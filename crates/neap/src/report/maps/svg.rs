//! The pages of a process as an SVG file that needs nothing else; it follows the reader's light or dark.

use std::fmt::Write as _;

use super::ProcessMaps;
use super::picture::letter;
use crate::maps::picture::{Cell, Line, Look, Picture};
use crate::report::markup::escape;
use crate::report::text::shorten;
use crate::unit;

/// Lines of a picture in a file, and its cells.
pub(crate) const LINES: usize = 120;
pub(crate) const COLUMNS: u64 = 128;
const CELL: usize = 7;
const ROW: usize = 14;
const LEFT: usize = 110;
const WIDTH: usize = LEFT + 128 * CELL + 240;
const STYLE: &str = include_str!("svg.css");

/// The whole file.
pub(crate) fn render(process: &ProcessMaps, picture: &Picture) -> String {
    let looks = Look::ALL
        .iter()
        .filter(|look| picture.totals.get(look).is_some_and(|bytes| *bytes > 0));
    let looks: Vec<&Look> = looks.collect();
    let top = 62 + looks.len().div_ceil(3) * 20;
    let height = top + picture.lines.len() * ROW + 20;
    let command = escape(&shorten(&process.command.join(" "), 100));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>Pages of \
         process {}</title>\n<style>\n{STYLE}</style>\n<rect class=\"ground\" width=\"{WIDTH}\" \
         height=\"{height}\"/>\n<text class=\"head\" x=\"10\" y=\"24\">neap maps {}  {command}</text>\n<text \
         class=\"dim\" x=\"10\" y=\"44\">{} A cell is {}; upper case: all of it is there, lower case: some. \
         {}</text>\n",
        process.pid,
        process.pid,
        escape(&process.verdict),
        unit::size(picture.cell_bytes),
        escape(&process.taken)
    );
    for (index, look) in looks.iter().enumerate() {
        let (x, y) = (10 + index % 3 * 400, 66 + index / 3 * 20);
        let bytes = picture.totals.get(look).copied().unwrap_or(0);
        let _ = writeln!(
            svg,
            "<rect class=\"{}\" x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\"/><text x=\"{}\" y=\"{y}\">{} {} {}</text>",
            look.word(),
            y - 11,
            x + 18,
            look.letter(),
            unit::size(bytes),
            look.meaning()
        );
    }
    for (index, line) in picture.lines.iter().enumerate() {
        let y = top + index * ROW;
        match line {
            Line::Free(bytes) => gap(&mut svg, y, *bytes, "of free addresses"),
            Line::Nowhere(bytes) => gap(&mut svg, y, *bytes, "mapped, not there"),
            Line::Cells { cells, names } => row(&mut svg, y, cells, names),
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn gap(svg: &mut String, y: usize, bytes: u64, words: &str) {
    let text = format!("~ {} {words}", unit::size(bytes));
    let _ = writeln!(
        svg,
        "<text class=\"dim\" x=\"{LEFT}\" y=\"{}\">{text}</text>",
        y + 10
    );
}

fn row(svg: &mut String, y: usize, cells: &[Cell], names: &[String]) {
    let start = cells.first().map_or(0, |cell| cell.addresses.start);
    let _ = write!(
        svg,
        "<text class=\"dim\" x=\"10\" y=\"{}\">{start:012x}</text>",
        y + 10
    );
    let mut x = LEFT;
    for run in cells.chunk_by(|a, b| letter(a) == letter(b)) {
        let width = run.len() * CELL;
        if let (Some(first), Some(last)) = (run.first(), run.last())
            && let Some(look) = first.look
        {
            let there: u64 = run.iter().map(|cell| cell.there).sum();
            let mapped: u64 = run.iter().map(|cell| cell.mapped).sum();
            let some = if first.there < first.mapped && there > 0 {
                " some"
            } else {
                ""
            };
            let _ = write!(
                svg,
                "<rect class=\"{}{some}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"12\"><title>{:x}-{:x}: {}, {there} of \
                 {mapped} pages</title></rect>",
                look.word(),
                first.addresses.start,
                last.addresses.end,
                look.meaning()
            );
        }
        x += width;
    }
    let letters: String = cells.iter().map(letter).collect();
    let _ = write!(
        svg,
        "<text class=\"letters\" x=\"{LEFT}\" y=\"{}\" textLength=\"{}\" xml:space=\"preserve\">{}</text>",
        y + 9,
        cells.len() * CELL,
        escape(&letters)
    );
    let names: Vec<&str> = names
        .iter()
        .map(|name| name.rsplit('/').next().unwrap_or(name))
        .collect();
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\">{}</text>",
        x + 10,
        y + 10,
        escape(&shorten(&names.join(" "), 32))
    );
}
