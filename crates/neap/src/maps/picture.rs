//! The pages of a process as cells: each cell the same number of pages, each line the same number of cells.
//!
//! Neighbouring mappings are one area; the free addresses between areas, and stretches of a mapping that are
//! nowhere, are one line each that says how much it is. The pages of a cell are the smallest power of two for
//! which the picture has at most as many lines as were asked for. A cell shows the state that most of its pages
//! in memory have, and whether all of its pages are there.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use neap_proc::model::Kind;
use neap_proc::read::{PageRun, PageState};

use super::groups;
use super::snapshot::Snapshot;

/// What a page is in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Look {
    Anonymous,
    Neap,
    File,
    Shared,
    Huge,
    Swapped,
    Zero,
    Guard,
    Absent,
}

impl Look {
    pub(crate) const ALL: [Look; 9] = [
        Look::Anonymous,
        Look::Neap,
        Look::File,
        Look::Shared,
        Look::Huge,
        Look::Swapped,
        Look::Zero,
        Look::Guard,
        Look::Absent,
    ];

    /// Its letter where all pages of a cell are there. Lower case: some are.
    pub(crate) const fn letter(self) -> char {
        match self {
            Look::Anonymous => 'A',
            Look::Neap => 'N',
            Look::File => 'F',
            Look::Shared => 'M',
            Look::Huge => 'H',
            Look::Swapped => 'S',
            Look::Zero => '0',
            Look::Guard => '!',
            Look::Absent => '.',
        }
    }

    /// A name for styles.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Look::Anonymous => "anonymous",
            Look::Neap => "neap",
            Look::File => "file",
            Look::Shared => "shared",
            Look::Huge => "huge",
            Look::Swapped => "swapped",
            Look::Zero => "zero",
            Look::Guard => "guard",
            Look::Absent => "absent",
        }
    }

    /// What it means.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Look::Anonymous => "in memory, of no file",
            Look::Neap => "in memory, the heap of libneap.so",
            Look::File => "in memory, of a file",
            Look::Shared => "in memory, shared",
            Look::Huge => "in memory, in huge pages",
            Look::Swapped => "in swap",
            Look::Zero => "the zero page: read, never written",
            Look::Guard => "a guard",
            Look::Absent => "mapped, not there",
        }
    }

    fn of(state: PageState, kind: Kind) -> Look {
        match (state, kind) {
            (PageState::Huge, _) => Look::Huge,
            (PageState::Swapped, _) => Look::Swapped,
            (PageState::Zero, _) => Look::Zero,
            (PageState::Guard, _) => Look::Guard,
            (_, Kind::Neap) => Look::Neap,
            (PageState::File, Kind::Shared) => Look::Shared,
            (PageState::File, _) => Look::File,
            (PageState::Anonymous, _) => Look::Anonymous,
        }
    }
}

/// Some pages side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) addresses: Range<u64>,
    /// `None`: nothing is mapped.
    pub(crate) look: Option<Look>,
    /// Pages in memory or in swap, of the pages that are mapped.
    pub(crate) there: u64,
    pub(crate) mapped: u64,
}

/// A line of the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Free addresses.
    Free(u64),
    /// Bytes that are mapped and nowhere.
    Nowhere(u64),
    /// Cells, and the names of the mappings that begin there.
    Cells { cells: Vec<Cell>, names: Vec<String> },
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) cell_bytes: u64,
    pub(crate) lines: Vec<Line>,
    /// Bytes of each look in the whole process.
    pub(crate) totals: BTreeMap<Look, u64>,
}

/// A part of a mapping, or of its pages.
struct Mapped {
    addresses: Range<u64>,
    kind: Kind,
    name: String,
}

impl Picture {
    /// Draws a snapshot that has its pages.
    pub(crate) fn new(snapshot: &Snapshot, runs: &[PageRun], columns: u64, lines_max: usize) -> Picture {
        let page = snapshot.head.page_bytes.max(1);
        let entries = snapshot
            .space
            .mappings()
            .filter(|(entry, _)| entry.end <= 1 << 63);
        let mappings: Vec<Mapped> = entries
            .map(|(entry, kind)| Mapped {
                addresses: entry.start..entry.end,
                kind,
                name: groups::label(snapshot, entry, kind).0,
            })
            .collect();
        let pieces = pieces(&mappings, runs);
        let mut totals: BTreeMap<Look, u64> = BTreeMap::new();
        for (addresses, look) in &pieces {
            *totals.entry(*look).or_default() += addresses.end - addresses.start;
        }
        let all: u64 = mappings.iter().map(|m| m.addresses.end - m.addresses.start).sum();
        totals.insert(Look::Absent, all.saturating_sub(totals.values().sum()));
        let columns = columns.max(1);
        let mut cell_bytes = page;
        loop {
            let shown = shown(&mappings, &pieces, cell_bytes.saturating_mul(columns));
            let gaps = shown
                .iter()
                .zip(shown.iter().skip(1))
                .filter(|(a, b)| **a + 1 < **b)
                .count();
            if shown.len() + gaps <= lines_max.max(1) || cell_bytes >= 1 << 50 {
                let line_bytes = cell_bytes.saturating_mul(columns);
                let lines = lines(&mappings, &pieces, &shown, line_bytes, cell_bytes, page);
                return Picture {
                    cell_bytes,
                    lines,
                    totals,
                };
            }
            cell_bytes <<= 1;
        }
    }
}

/// The runs cut at the borders of mappings.
fn pieces(mappings: &[Mapped], runs: &[PageRun]) -> Vec<(Range<u64>, Look)> {
    let mut pieces = Vec::new();
    for run in runs {
        let first = mappings.partition_point(|mapping| mapping.addresses.end <= run.addresses.start);
        for mapping in mappings.get(first..).unwrap_or_default() {
            if mapping.addresses.start >= run.addresses.end {
                break;
            }
            let start = mapping.addresses.start.max(run.addresses.start);
            let end = mapping.addresses.end.min(run.addresses.end);
            pieces.push((start..end, Look::of(run.state, mapping.kind)));
        }
    }
    pieces
}

/// The numbers of the lines in which a mapping begins or ends, or a page is somewhere. So many that counting them is
/// slow are cut off: the cells are too small then anyway.
fn shown(mappings: &[Mapped], pieces: &[(Range<u64>, Look)], line_bytes: u64) -> BTreeSet<u64> {
    const MOST: u64 = 10_000;
    let mut shown = BTreeSet::new();
    for mapping in mappings {
        shown.insert(mapping.addresses.start / line_bytes);
        shown.insert((mapping.addresses.end - 1) / line_bytes);
    }
    for (addresses, _) in pieces {
        let (first, last) = (addresses.start / line_bytes, (addresses.end - 1) / line_bytes);
        shown.extend(first..=last.min(first.saturating_add(MOST)));
    }
    shown
}

fn lines(
    mappings: &[Mapped],
    pieces: &[(Range<u64>, Look)],
    shown: &BTreeSet<u64>,
    line_bytes: u64,
    cell_bytes: u64,
    page: u64,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut last: Option<u64> = None;
    for number in shown {
        let start = number * line_bytes;
        if let Some(end) = last
            .map(|last| (last + 1) * line_bytes)
            .filter(|end| *end < start)
        {
            let bytes = start - end;
            lines.push(match overlapping(mappings, &(end..start)).next() {
                Some(_) => Line::Nowhere(bytes),
                None => Line::Free(bytes),
            });
        }
        last = Some(*number);
        let cells = (start..start + line_bytes).step_by(usize::try_from(cell_bytes).unwrap_or(usize::MAX));
        let cells = cells
            .map(|at| cell(mappings, pieces, at..at + cell_bytes, page))
            .collect();
        let mut names: Vec<String> = Vec::new();
        for mapping in overlapping(mappings, &(start..start + line_bytes)) {
            if mapping.addresses.start >= start && names.last() != Some(&mapping.name) {
                names.push(mapping.name.clone());
            }
        }
        lines.push(Line::Cells { cells, names });
    }
    lines
}

fn overlapping<'a>(mappings: &'a [Mapped], span: &Range<u64>) -> impl Iterator<Item = &'a Mapped> {
    let first = mappings.partition_point(|mapping| mapping.addresses.end <= span.start);
    let end = span.end;
    let rest = mappings.get(first..).unwrap_or_default().iter();
    rest.take_while(move |mapping| mapping.addresses.start < end)
}

fn common(one: &Range<u64>, other: &Range<u64>) -> u64 {
    one.end.min(other.end).saturating_sub(one.start.max(other.start))
}

fn cell(mappings: &[Mapped], pieces: &[(Range<u64>, Look)], addresses: Range<u64>, page: u64) -> Cell {
    let mapped: u64 = overlapping(mappings, &addresses)
        .map(|m| common(&m.addresses, &addresses))
        .sum();
    let mut of: BTreeMap<Look, u64> = BTreeMap::new();
    let first = pieces.partition_point(|(piece, _)| piece.end <= addresses.start);
    for (piece, look) in pieces.get(first..).unwrap_or_default() {
        if piece.start >= addresses.end {
            break;
        }
        *of.entry(*look).or_default() += common(piece, &addresses);
    }
    let is_there = |look: &Look| !matches!(look, Look::Zero | Look::Guard | Look::Absent);
    let there = of
        .iter()
        .filter(|(look, _)| is_there(look))
        .map(|(_, bytes)| bytes)
        .sum::<u64>();
    let most = |there: bool| {
        let looks = of.iter().filter(|(look, _)| is_there(look) == there);
        looks.max_by_key(|(_, bytes)| **bytes).map(|(look, _)| *look)
    };
    let absent = (mapped > 0).then_some(Look::Absent);
    Cell {
        addresses,
        look: most(true).or_else(|| most(false)).or(absent),
        there: there / page,
        mapped: mapped / page,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maps::snapshot::{Head, Raw};

    const SMAPS: &[u8] = b"10000-20000 rw-p 0 0:0 0 [heap]\n20000-22000 r-xp 0 8:1 5 /lib/l.so\n7f0000000000-7f4000000000 rw-p 0 0:0 0\n7fff00000000-7fff00010000 rw-p 0 0:0 0 [stack]\n";

    fn picture(lines: usize) -> Picture {
        let run = |addresses, state| PageRun { addresses, state };
        let runs = vec![
            run(0x10000..0x14000, PageState::Anonymous),
            run(0x1f000..0x20000, PageState::Swapped),
            run(0x20000..0x22000, PageState::File),
            run(0x7f00_0000_0000..0x7f00_0000_1000, PageState::Guard),
            run(0x7f20_0000_0000..0x7f20_0020_0000, PageState::Huge),
        ];
        let snapshot = Snapshot::new(Raw {
            head: Head {
                page_bytes: 4096,
                ..Head::default()
            },
            smaps: SMAPS.to_vec(),
            rollup: Err(String::new()),
            status: Err(String::new()),
            heap: Err(String::new()),
            pages: Ok(runs.clone()),
        });
        Picture::new(&snapshot, &runs, 16, lines)
    }

    #[test]
    fn every_page_is_counted_once() {
        let picture = picture(100);
        let there: u64 = picture
            .totals
            .iter()
            .filter(|(look, _)| **look != Look::Absent)
            .map(|(_, b)| b)
            .sum();
        assert_eq!(there, 0x4000 + 0x1000 + 0x2000 + 0x1000 + 0x20_0000);
        assert_eq!(
            picture.totals.values().sum::<u64>(),
            0x10000 + 0x2000 + 0x40_0000_0000 + 0x10000
        );
        let mapped: u64 = picture
            .lines
            .iter()
            .map(|line| match line {
                Line::Cells { cells, .. } => cells.iter().map(|cell| cell.mapped * 4096).sum(),
                Line::Nowhere(bytes) => *bytes,
                Line::Free(_) => 0,
            })
            .sum();
        assert_eq!(mapped, 0x10000 + 0x2000 + 0x40_0000_0000 + 0x10000);
    }

    #[test]
    fn it_has_no_more_lines_than_asked_for_and_gaps_are_one_line() {
        for lines in [12, 40, 100] {
            let picture = picture(lines);
            assert!(picture.lines.len() <= lines, "{lines}: {}", picture.lines.len());
            assert!(picture.lines.iter().any(|line| matches!(line, Line::Free(_))));
            assert!(picture.lines.iter().any(|line| matches!(line, Line::Nowhere(_))));
        }
    }

    #[test]
    fn a_cell_shows_what_most_of_it_is() {
        let picture = picture(200);
        let Line::Cells { cells, names } = &picture.lines[0] else {
            panic!()
        };
        let looks: Vec<Option<Look>> = cells.iter().map(|cell| cell.look).collect();
        assert!(looks.contains(&Some(Look::Anonymous)) && names.iter().any(|name| name == "[heap]"));
        let text = format!("{:?}", picture.lines);
        for look in ["Guard", "Huge", "Swapped", "File"] {
            assert!(picture.cell_bytes > 4096 || text.contains(look), "{look}");
        }
    }
}
