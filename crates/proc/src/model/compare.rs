//! Two address spaces of one process: what came, went, grew and shrank.
//!
//! Mappings are paired by name, kind and start, then those that are left by name, kind and end: one that grew at
//! either end is the same; one that moved went and came. Only what differs is listed. Figures that one side
//! lacks are not compared.

use std::collections::{BTreeMap, HashMap};

use super::space::{Kind, Space, Total};
use crate::parse::{Name, Permissions, SmapsEntry, SmapsField};

/// What became of a mapping or a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Only in the later one.
    Appeared,
    /// Only in the earlier one.
    Went,
    /// More is resident; or as much, and it is longer.
    Grew,
    /// Less is resident; or as much, and it is shorter.
    Shrank,
    /// Other permissions or another split of the same size.
    Changed,
}

/// One side of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// `rwxp`.
    pub permissions: Permissions,
    /// Rss.
    pub rss_bytes: Option<u64>,
    /// Pss.
    pub pss_bytes: Option<u64>,
    /// Swap.
    pub swap_bytes: Option<u64>,
}

/// A mapping that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What became of it.
    pub fate: Fate,
    /// First address: of the later one, unless it went.
    pub start: u64,
    /// The last column.
    pub name: Name,
    /// Its kind.
    pub kind: Kind,
    /// As it was; `None` when it appeared.
    pub before: Option<Side>,
    /// As it is; `None` when it went.
    pub after: Option<Side>,
}

/// A kind that is not as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindChange {
    /// What became of it.
    pub fate: Fate,
    /// Which.
    pub kind: Kind,
    /// As it was; no mappings when it appeared.
    pub before: Total,
    /// As it is; no mappings when it went.
    pub after: Total,
}

/// Everything that is not as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// In the order of addresses.
    pub mappings: Vec<Change>,
    /// In the order of kinds.
    pub kinds: Vec<KindChange>,
}

impl Comparison {
    /// Compares an earlier space with a later one.
    #[must_use]
    pub fn new(before: &Space, after: &Space) -> Comparison {
        Comparison {
            mappings: mappings(before, after),
            kinds: kinds(&before.by_kind(), &after.by_kind()),
        }
    }
}

impl Side {
    /// Bytes from start to end.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    fn new(entry: &SmapsEntry) -> Side {
        Side {
            start: entry.start,
            end: entry.end,
            permissions: entry.permissions,
            rss_bytes: entry.sizes.get(SmapsField::Rss),
            pss_bytes: entry.sizes.get(SmapsField::Pss),
            swap_bytes: entry.sizes.get(SmapsField::Swap),
        }
    }
}

fn mappings(before: &Space, after: &Space) -> Vec<Change> {
    let mut old: HashMap<(u64, &Name, Kind), Side> = HashMap::new();
    for (entry, kind) in before.mappings() {
        let name = before.smaps().name(entry.name);
        old.insert((entry.start, name, kind), Side::new(entry));
    }
    let mut new = Vec::new();
    for (entry, kind) in after.mappings() {
        let name = after.smaps().name(entry.name);
        new.push((
            name,
            kind,
            old.remove(&(entry.start, name, kind)),
            Side::new(entry),
        ));
    }
    let mut by_end: HashMap<(u64, &Name, Kind), Side> = HashMap::new();
    for ((_, name, kind), was) in old {
        by_end.insert((was.end, name, kind), was);
    }
    let mut changes = Vec::new();
    for (name, kind, was, is) in new {
        let was = was.or_else(|| by_end.remove(&(is.end, name, kind)));
        let fate = match &was {
            None => Fate::Appeared,
            Some(was) if *was == is => continue,
            Some(was) => fate((was.rss_bytes, was.len_bytes()), (is.rss_bytes, is.len_bytes())),
        };
        changes.push(Change {
            fate,
            start: is.start,
            name: name.clone(),
            kind,
            before: was,
            after: Some(is),
        });
    }
    changes.extend(by_end.into_iter().map(|((_, name, kind), was)| Change {
        fate: Fate::Went,
        start: was.start,
        name: name.clone(),
        kind,
        before: Some(was),
        after: None,
    }));
    // What went and what came to the same place: first what went.
    changes.sort_by_key(|change| (change.start, change.after.is_some()));
    changes
}

fn kinds(before: &BTreeMap<Kind, Total>, after: &BTreeMap<Kind, Total>) -> Vec<KindChange> {
    let change = |kind: Kind| {
        let (was, is) = (before.get(&kind), after.get(&kind));
        let fate = match (was, is) {
            (None, Some(_)) => Fate::Appeared,
            (Some(_), None) => Fate::Went,
            (Some(was), Some(is)) if was != is => {
                let rss = |total: &Total| total.sizes.get(SmapsField::Rss);
                fate((rss(was), was.len_bytes), (rss(is), is.len_bytes))
            }
            _ => return None,
        };
        Some(KindChange {
            fate,
            kind,
            before: was.copied().unwrap_or_default(),
            after: is.copied().unwrap_or_default(),
        })
    };
    Kind::ALL.into_iter().filter_map(change).collect()
}

/// By what is resident, where both sides say it, then by length.
fn fate(was: (Option<u64>, u64), is: (Option<u64>, u64)) -> Fate {
    let resident = match (was.0, is.0) {
        (Some(was), Some(is)) => is.cmp(&was),
        _ => core::cmp::Ordering::Equal,
    };
    match resident.then(is.1.cmp(&was.1)) {
        core::cmp::Ordering::Greater => Fate::Grew,
        core::cmp::Ordering::Less => Fate::Shrank,
        core::cmp::Ordering::Equal => Fate::Changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Known;
    use crate::parse::Smaps;

    fn space(text: &str) -> Space {
        Space::new(Smaps::parse(text.as_bytes()), &Known::default())
    }

    #[test]
    fn each_fate_is_told() {
        let before = space(
            "1000-2000 rw-p 0 0:0 0 [heap]\nRss: 4 kB\n3000-5000 rw-p 0 0:0 0\nRss: 8 kB\n6000-7000 r--p 0 8:1 5 /a\nRss: 0 kB\n8000-9000 rw-p 0 0:0 0\nRss: 4 kB\na000-b000 rw-p 0 0:0 0\nRss: 4 kB\n",
        );
        let after = space(
            "1000-3000 rw-p 0 0:0 0 [heap]\nRss: 8 kB\n3000-5000 rw-p 0 0:0 0\nRss: 4 kB\n6000-7000 r--p 0 8:1 6 /b\nRss: 0 kB\n8000-9000 r--p 0 0:0 0\nRss: 4 kB\na000-b000 rw-p 0 0:0 0\nRss: 4 kB\n",
        );
        let comparison = Comparison::new(&before, &after);
        let fates: Vec<(u64, Fate)> = comparison.mappings.iter().map(|c| (c.start, c.fate)).collect();
        assert_eq!(
            fates,
            [
                (0x1000, Fate::Grew),
                (0x3000, Fate::Shrank),
                (0x6000, Fate::Went),
                (0x6000, Fate::Appeared),
                (0x8000, Fate::Changed),
            ]
        );
        let kinds: Vec<(Kind, Fate)> = comparison.kinds.iter().map(|c| (c.kind, c.fate)).collect();
        assert_eq!(kinds, [(Kind::Heap, Fate::Grew), (Kind::Anonymous, Fate::Shrank)]);
    }

    #[test]
    fn a_space_is_as_itself() {
        let text = include_str!("../../tests/fixtures/linux-6.18/proc/4711/smaps");
        assert_eq!(Comparison::new(&space(text), &space(text)), Comparison::default());
    }

    #[test]
    fn a_mapping_that_grew_at_its_start_is_the_same() {
        let (before, after) = (
            space("3000-5000 rw-p 0 0:0 0\nRss: 8 kB\n"),
            space("1000-5000 rw-p 0 0:0 0\nRss: 16 kB\n"),
        );
        let changes = Comparison::new(&before, &after).mappings;
        assert_eq!(
            (changes.len(), changes[0].fate, changes[0].start),
            (1, Fate::Grew, 0x1000)
        );
        let lengths = [changes[0].before, changes[0].after].map(|side| side.unwrap().len_bytes());
        assert_eq!(lengths, [0x2000, 0x4000]);
    }

    #[test]
    fn what_one_side_does_not_say_is_not_compared() {
        let (with, without) = (
            space("1000-2000 rw-p 0 0:0 0\nRss: 4 kB\n"),
            space("1000-2000 rw-p 0 0:0 0\n"),
        );
        let comparison = Comparison::new(&without, &with);
        assert_eq!(comparison.mappings[0].fate, Fate::Changed);
    }
}
