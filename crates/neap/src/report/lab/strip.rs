//! [`Strip`]: the address spaces of the looks of one run in the same columns, so that what came and went
//! between them stands one below the other.
//!
//! Every address at which a region of any look begins or ends is a border. The parts between two borders are
//! as wide as the logarithm of their length, at least a column: a page is seen beside a hole of 47 TiB. Where
//! there are more parts than columns, the narrowest neighbours are one. A column says what lies there, not
//! how much.

use crate::lab::sight::Sight;
use crate::lab::space::{Kind, Region, span_of};

/// See the module.
pub(super) struct Strip {
    parts: Vec<Part>,
}

/// Addresses that are one or more columns.
#[derive(Clone, Copy)]
struct Part {
    start: u64,
    end: u64,
    columns: usize,
    /// No look has anything there.
    is_hole: bool,
}

/// What one look has in a part.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Cell<'a> {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) columns: usize,
    /// What most of it is; `None`: nothing is mapped.
    pub(super) region: Option<&'a Region>,
    /// Since the look before.
    pub(super) change: Change,
}

/// What has become of a part since the look before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Same,
    Came,
    Went,
    /// It is there as before, with other rights or of another kind.
    Other,
}

impl Change {
    /// A letter below the column.
    pub(super) const fn mark(self) -> char {
        match self {
            Change::Same => ' ',
            Change::Came => '+',
            Change::Went => '-',
            Change::Other => '~',
        }
    }
}

impl Strip {
    /// Of these looks, in so many columns or fewer.
    pub(super) fn of<'a>(sights: impl Iterator<Item = &'a Sight>, columns: usize) -> Strip {
        let regions: Vec<&Region> = sights.flat_map(|sight| &sight.space).collect();
        let mut borders: Vec<u64> = regions
            .iter()
            .flat_map(|region| [region.start, region.end])
            .collect();
        borders.sort_unstable();
        borders.dedup();
        let is_hole = |start, end| {
            !regions
                .iter()
                .any(|region| region.start < end && region.end > start)
        };
        let mut parts: Vec<Part> = borders
            .windows(2)
            .map(|pair| Part {
                start: pair[0],
                end: pair[1],
                columns: 0,
                is_hole: is_hole(pair[0], pair[1]),
            })
            .collect();
        while parts.len() > columns.max(1) {
            join_narrowest(&mut parts);
        }
        share_out(&mut parts, columns);
        Strip { parts }
    }

    /// One look. Nothing where its address space is not in the record.
    pub(super) fn cells<'a>(&self, sight: &'a Sight, before: Option<&Sight>) -> Vec<Cell<'a>> {
        if sight.space.is_empty() {
            return Vec::new();
        }
        let changed: Vec<((u64, u64), &str, char)> = sight
            .changes
            .iter()
            .filter_map(|line| {
                let (sign, line) = line.split_at_checked(2)?;
                let rights = line.split(' ').nth(1)?;
                Some((span_of(line)?, rights, sign.chars().next()?))
            })
            .collect();
        self.parts
            .iter()
            .map(|part| Cell {
                start: part.start,
                end: part.end,
                columns: part.columns,
                region: most(&sight.space, part).0,
                change: before.map_or(Change::Same, |before| change(part, sight, before, &changed)),
            })
            .collect()
    }
}

/// The region that most of the part is, and the bytes of the part that are in any.
fn most<'a>(space: &'a [Region], part: &Part) -> (Option<&'a Region>, u64) {
    let common = |region: &Region| {
        region
            .end
            .min(part.end)
            .saturating_sub(region.start.max(part.start))
    };
    let largest = space
        .iter()
        .filter(|region| common(region) > 0)
        .max_by_key(|region| common(region));
    (largest, space.iter().map(common).sum())
}

fn change(part: &Part, sight: &Sight, before: &Sight, lines: &[((u64, u64), &str, char)]) -> Change {
    let (region, bytes) = most(&sight.space, part);
    let (old, was) = most(&before.space, part);
    if bytes != was {
        return if bytes > was { Change::Came } else { Change::Went };
    }
    // What lies there on either side of the change, if a line of maps that touches it changed at all.
    let rights = |sign: char| {
        let touching = lines
            .iter()
            .filter(|(span, _, of)| *of == sign && span.0 < part.end && span.1 > part.start);
        touching.map(|(_, rights, _)| *rights).collect::<Vec<_>>()
    };
    let kind = |region: Option<&Region>| region.map(|region| region.kind);
    if kind(region) != kind(old) || rights('-') != rights('+') {
        Change::Other
    } else {
        Change::Same
    }
}

/// How wide a part would be: one more for each doubling. Holes half of that, as nothing is in them.
fn weight(part: &Part) -> usize {
    let doublings = (part.end - part.start).div_ceil(4096).max(1).ilog2() as usize;
    if part.is_hole {
        1 + doublings / 3
    } else {
        2 + doublings
    }
}

fn join_narrowest(parts: &mut Vec<Part>) {
    let narrowest = parts
        .windows(2)
        .enumerate()
        .min_by_key(|(_, pair)| weight(&pair[0]) + weight(&pair[1]))
        .map(|(index, _)| index);
    if let Some(index) = narrowest {
        let next = parts.remove(index + 1);
        parts[index].end = next.end;
        parts[index].is_hole &= next.is_hole;
    }
}

/// Gives each part its share of the columns, one at least.
fn share_out(parts: &mut [Part], columns: usize) {
    let whole: usize = parts.iter().map(weight).sum();
    for part in parts.iter_mut() {
        part.columns = (weight(part) * columns / whole.max(1)).max(1);
    }
    let mut used: usize = parts.iter().map(|part| part.columns).sum();
    while used > columns {
        let Some(widest) = parts.iter_mut().max_by_key(|part| part.columns) else {
            return;
        };
        if widest.columns == 1 {
            return;
        }
        widest.columns -= 1;
        used -= 1;
    }
}

/// The letter of a kind; a hole has none.
pub(super) const fn letter(kind: Kind) -> char {
    match kind {
        Kind::Program => 'P',
        Kind::Heap => 'H',
        Kind::Anonymous => 'a',
        Kind::Shared => 's',
        Kind::File => 'f',
        Kind::Library => 'L',
        Kind::Stack => 'S',
        Kind::Reserved => 'n',
        Kind::Kernel => 'k',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(kind: Kind, start: u64, end: u64) -> Region {
        Region {
            kind,
            name: String::new(),
            start,
            end,
            mappings: 1,
            mapped_bytes: end - start,
        }
    }

    fn sight(space: Vec<Region>, changes: &[&str]) -> Sight {
        Sight {
            space,
            changes: changes.iter().map(|line| (*line).to_owned()).collect(),
            ..Sight::default()
        }
    }

    fn drawn(cells: &[Cell<'_>]) -> (String, String) {
        let each = |of: fn(&Cell<'_>) -> char| {
            cells
                .iter()
                .flat_map(|cell| std::iter::repeat_n(of(cell), cell.columns))
                .collect()
        };
        (
            each(|cell| cell.region.map_or('.', |region| letter(region.kind))),
            each(|cell| cell.change.mark()),
        )
    }

    #[test]
    fn looks_stand_in_the_same_columns_and_changes_are_marked() {
        const TIB: u64 = 1 << 40;
        let program = || region(Kind::Program, 0x40_0000, 0x50_0000);
        let stack = || region(Kind::Stack, 47 * TIB, 47 * TIB + 0x2_1000);
        let first = sight(
            vec![program(), region(Kind::Heap, 0x60_0000, 0x61_0000), stack()],
            &[],
        );
        let second = sight(
            vec![
                program(),
                region(Kind::Heap, 0x60_0000, 0x62_0000),
                region(Kind::Anonymous, TIB, TIB + 4096),
                stack(),
            ],
            &[
                "- 600000-610000 rw-p 0 00:00 0 [heap]",
                "+ 600000-620000 rw-p 0 00:00 0 [heap]",
            ],
        );
        let strip = Strip::of([&first, &second].into_iter(), 64);
        let (one, marks) = drawn(&strip.cells(&first, None));
        let (two, now) = drawn(&strip.cells(&second, Some(&first)));
        assert_eq!(one.len(), two.len());
        assert!(one.len() <= 64 && marks.trim().is_empty(), "{one}");
        for (column, mark) in now.chars().enumerate() {
            let (was, is) = (one.as_bytes()[column], two.as_bytes()[column]);
            assert_eq!(mark == '+', was == b'.' && is != b'.', "{one}\n{two}\n{now}");
        }
        assert!(
            two.contains('a') && two.contains('S') && now.contains('+'),
            "{two}\n{now}"
        );
        let (_, back) = drawn(&strip.cells(&first, Some(&second)));
        assert_eq!(back, now.replace('+', "-"));
    }

    #[test]
    fn other_rights_are_another_thing_at_the_same_place() {
        let space = || vec![region(Kind::Anonymous, 0x1000, 0x9000)];
        let first = sight(space(), &[]);
        let second = sight(
            space(),
            &[
                "- 1000-9000 rw-p 0 00:00 0",
                "+ 1000-2000 rw-p 0 00:00 0",
                "+ 2000-9000 r--p 0 00:00 0",
            ],
        );
        let strip = Strip::of([&first, &second].into_iter(), 8);
        assert_eq!(strip.cells(&second, Some(&first))[0].change, Change::Other);
    }

    #[test]
    fn more_parts_than_columns_still_fit() {
        let space = (1..200)
            .map(|index| region(Kind::Anonymous, index * 0x10_0000, index * 0x10_0000 + 0x1000))
            .collect();
        let look = sight(space, &[]);
        let cells = Strip::of(std::iter::once(&look), 40).cells(&look, None);
        assert!(cells.iter().map(|cell| cell.columns).sum::<usize>() <= 40);
        assert!(cells.iter().any(|cell| cell.region.is_some()));
    }
}
