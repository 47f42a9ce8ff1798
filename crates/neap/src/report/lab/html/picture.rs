//! What is drawn: an address space in a strip, the pages of a span. Both are SVG whose parts have a title, so
//! that colour is not the only thing that tells them apart.

use std::fmt::Write as _;

use super::super::strip::{Cell, Change};
use crate::lab::cells;
use crate::lab::sight::Watched;
use crate::lab::space::Kind;
use crate::report::markup::escape;
use crate::unit;

/// Columns of a strip.
pub(super) const STRIP: usize = 160;
/// Cells of a span's pages.
const PAGES: u64 = 128;

/// What the colours mean, once for the page.
pub(super) fn legend(html: &mut String) {
    html.push_str("<div class=\"legend\" id=\"legend\"><h2>Colours</h2>\n<p>Addresses: ");
    for kind in Kind::ALL {
        let _ = write!(
            html,
            "<span><i class=\"key {}\"></i>{}</span> ",
            kind_class(*kind),
            escape(kind.word())
        );
    }
    html.push_str(
        "<span><i class=\"key came\"></i>came</span> <span><i class=\"key went\"></i>went</span> \
         <span><i class=\"key other\"></i>is otherwise</span>. Each part is as wide as the logarithm of \
         its length, \
         so that a page is seen beside a hole of 47 TiB.</p>\n<p>Pages: ",
    );
    for (letter, meaning) in cells::MEANINGS.iter().chain(&[('+', "a mixture")]) {
        let _ = write!(
            html,
            "<span><i class=\"key {}\"></i>{}</span> ",
            page_class(*letter),
            escape(meaning)
        );
    }
    html.push_str("</p></div>\n");
}

const fn kind_class(kind: Kind) -> &'static str {
    match kind {
        Kind::Program => "program",
        Kind::Heap => "heap",
        Kind::Anonymous => "anonymous",
        Kind::Shared => "shared",
        Kind::File => "file",
        Kind::Library => "library",
        Kind::Stack => "stack",
        Kind::Reserved => "reserved",
        Kind::Kernel => "kernel",
    }
}

const fn page_class(letter: char) -> &'static str {
    match letter {
        '#' => "there",
        'f' => "of-file",
        's' => "swapped",
        'G' => "guard",
        '_' => "unmapped",
        '+' => "mixed",
        _ => "absent",
    }
}

/// The address space of a look.
pub(super) fn space(html: &mut String, cells: &[Cell<'_>]) {
    let columns: usize = cells.iter().map(|cell| cell.columns).sum();
    if columns == 0 {
        return;
    }
    let regions = cells.iter().filter(|cell| cell.region.is_some()).count();
    let changed = cells.iter().filter(|cell| cell.change != Change::Same).count();
    let _ = write!(
        html,
        "<svg class=\"space\" viewBox=\"0 0 {} 26\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"The address space: {regions} parts, {changed} of them changed\">",
        columns * 4
    );
    let mut x = 0;
    for cell in cells {
        let width = cell.columns * 4;
        if let Some(region) = cell.region {
            let name = if region.name.is_empty() {
                region.kind.word()
            } else {
                &region.name
            };
            let _ = write!(
                html,
                "<rect class=\"{}\" x=\"{x}\" y=\"2\" width=\"{width}\" height=\"16\"><title>{} \
                 {:#x}-{:#x}, {}</title></rect>",
                kind_class(region.kind),
                escape(name),
                region.start,
                region.end,
                unit::size(region.end - region.start)
            );
        }
        let mark = match cell.change {
            Change::Same => None,
            Change::Came => Some(("came", "came")),
            Change::Went => Some(("went", "went")),
            Change::Other => Some(("other", "is otherwise")),
        };
        if let Some((class, word)) = mark {
            let _ = write!(
                html,
                "<rect class=\"{class}\" x=\"{x}\" y=\"20\" width=\"{width}\" \
                 height=\"6\"><title>{word}: {:#x}-{:#x}, {}</title></rect>",
                cell.start,
                cell.end,
                unit::size(cell.end - cell.start)
            );
        }
        x += width;
    }
    html.push_str("</svg>\n");
}

/// The pages of a watched span, its mappings and flags.
pub(super) fn watched(html: &mut String, watched: &Watched) {
    let _ = writeln!(
        html,
        "<p class=\"span\">{} <code>{:#x}</code> {}</p>",
        escape(&watched.label),
        watched.base,
        unit::size(watched.len)
    );
    match &watched.cells {
        Some(runs) => pages(html, runs),
        None => html.push_str("<p class=\"dim\">pages: n/a (pagemap cannot be read)</p>\n"),
    }
    if !watched.flags.is_empty() {
        let _ = writeln!(
            html,
            "<p class=\"flags\">VmFlags <code>{}</code></p>",
            escape(&watched.flags)
        );
    }
    let shown: Vec<String> = watched
        .smaps_kb
        .iter()
        .filter(|(name, kilobytes)| {
            **kilobytes > 0 && !matches!(name.as_str(), "KernelPageSize" | "MMUPageSize")
        })
        .map(|(name, kilobytes)| format!("{name} {}", unit::count(*kilobytes)))
        .collect();
    if !shown.is_empty() {
        let _ = writeln!(
            html,
            "<p class=\"flags\">smaps, kB: {}</p>",
            escape(&shown.join(", "))
        );
    }
}

fn pages(html: &mut String, runs: &str) {
    let (drawn, each) = cells::squeezed(runs, PAGES);
    let letters: Vec<char> = drawn.chars().collect();
    let total: u64 = cells::runs(runs).map(|(_, pages)| pages).sum();
    let _ = write!(
        html,
        "<svg class=\"pages\" viewBox=\"0 0 {} 14\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{} of {total} pages are there\">",
        letters.len().max(16) * 6,
        cells::present(runs)
    );
    let mut at = 0;
    for run in letters.chunk_by(|a, b| a == b) {
        let letter = run[0];
        let meaning = cells::MEANINGS
            .iter()
            .find(|(known, _)| *known == letter)
            .map_or("a mixture", |(_, meaning)| meaning);
        let first = at as u64 * each;
        let last = (first + run.len() as u64 * each).min(total);
        let _ = write!(
            html,
            "<rect class=\"{}\" x=\"{}\" width=\"{}\" height=\"14\"><title>pages {first} to {}: \
             {meaning}</title></rect>",
            page_class(letter),
            at * 6,
            run.len() * 6,
            last.saturating_sub(1)
        );
        at += run.len();
    }
    html.push_str("</svg>\n");
}
