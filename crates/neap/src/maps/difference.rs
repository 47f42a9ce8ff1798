//! Two snapshots: what came, went, grew and shrank, by kind, by name and, for one process, by mapping.
//!
//! Addresses mean the same in two snapshots of one process only: of two processes, such as two runs of a
//! program, mappings are not paired, kinds and names are.

use std::collections::BTreeMap;

use neap_proc::model::{self, Change, Comparison, Fate, Kind, Total};
use neap_proc::parse::SmapsField;

use super::groups::{self, Order};
use super::snapshot::Snapshot;
use super::sums::Sums;

/// A total at two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) before: Total,
    pub(crate) after: Total,
}

/// A kind, and its names that are not as they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KindDifference {
    pub(crate) kind: Kind,
    pub(crate) pair: Pair,
    pub(crate) names: Vec<NameDifference>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameDifference {
    pub(crate) name: String,
    pub(crate) pair: Pair,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) total: Pair,
    /// The greatest change of RSS first.
    pub(crate) kinds: Vec<KindDifference>,
    /// In the order of addresses; `None` for two processes.
    pub(crate) mappings: Option<Vec<Change>>,
}

impl Pair {
    /// What became of it; `None` when it is as it was.
    pub(crate) fn fate(&self) -> Option<Fate> {
        let rss = |total: &Total| total.sizes.get(SmapsField::Rss);
        match (self.before.mappings, self.after.mappings) {
            _ if Sums::of(&self.before) == Sums::of(&self.after) => None,
            (0, _) => Some(Fate::Appeared),
            (_, 0) => Some(Fate::Went),
            _ => {
                let resident = match (rss(&self.before), rss(&self.after)) {
                    (Some(was), Some(is)) => is.cmp(&was),
                    _ => std::cmp::Ordering::Equal,
                };
                Some(
                    match resident.then(self.after.len_bytes.cmp(&self.before.len_bytes)) {
                        std::cmp::Ordering::Greater => Fate::Grew,
                        std::cmp::Ordering::Less => Fate::Shrank,
                        std::cmp::Ordering::Equal => Fate::Changed,
                    },
                )
            }
        }
    }

    /// Whether it is the process's own doing: shares (PSS, what is private) change, too, when *others* map the same
    /// file or stop to.
    pub(crate) fn is_own(&self) -> bool {
        let own = |total: &Total| {
            let size = |field| total.sizes.get(field);
            (
                total.mappings,
                total.len_bytes,
                size(SmapsField::Rss),
                size(SmapsField::Swap),
            )
        };
        own(&self.before) != own(&self.after)
    }

    /// How much more is resident; 0 where one side does not say.
    pub(crate) fn rss_change(&self) -> i64 {
        let rss = |total: &Total| match total.mappings {
            0 => Some(0),
            _ => total.sizes.get(SmapsField::Rss),
        };
        match (rss(&self.before), rss(&self.after)) {
            (Some(was), Some(is)) => signed(was, is),
            _ => 0,
        }
    }
}

/// How much `is` is more than `was`.
pub(crate) fn signed(was: u64, is: u64) -> i64 {
    let size = i64::try_from(is.abs_diff(was)).unwrap_or(i64::MAX);
    if is < was { -size } else { size }
}

impl Difference {
    pub(crate) fn new(before: &Snapshot, after: &Snapshot) -> Difference {
        let mut pairs: BTreeMap<(Kind, String), Pair> = BTreeMap::new();
        for of_kind in groups::groups(before, Order::Name, 0) {
            for group in of_kind.groups {
                pairs
                    .entry((of_kind.kind, full(&group)))
                    .or_default()
                    .before
                    .join(&group.total);
            }
        }
        for of_kind in groups::groups(after, Order::Name, 0) {
            for group in of_kind.groups {
                pairs
                    .entry((of_kind.kind, full(&group)))
                    .or_default()
                    .after
                    .join(&group.total);
            }
        }
        let mut kinds: BTreeMap<Kind, KindDifference> = BTreeMap::new();
        for ((kind, name), pair) in pairs {
            let of_kind = kinds.entry(kind).or_insert_with(|| KindDifference {
                kind,
                pair: Pair::default(),
                names: Vec::new(),
            });
            of_kind.pair.before.join(&pair.before);
            of_kind.pair.after.join(&pair.after);
            if pair.fate().is_some() {
                of_kind.names.push(NameDifference { name, pair });
            }
        }
        // A kind is as it was only if each of its names is.
        let mut kinds: Vec<KindDifference> = kinds
            .into_values()
            .filter(|kind| !kind.names.is_empty())
            .collect();
        let greatest = |pair: &Pair| std::cmp::Reverse(pair.rss_change().unsigned_abs());
        for of_kind in &mut kinds {
            of_kind
                .names
                .sort_by_cached_key(|name| (greatest(&name.pair), name.name.clone()));
        }
        kinds.sort_by_key(|of_kind| (greatest(&of_kind.pair), of_kind.kind));
        Difference {
            total: Pair {
                before: before.space.total(),
                after: after.space.total(),
            },
            kinds,
            mappings: is_same_process(before, after)
                .then(|| Comparison::new(&before.space, &after.space).mappings),
        }
    }

    /// Whether anything but shares is not as it was.
    pub(crate) fn is_any(&self) -> bool {
        let names = self
            .kinds
            .iter()
            .flat_map(|kind| &kind.names)
            .any(|name| name.pair.is_own());
        names || self.mappings.iter().flatten().any(is_own)
    }
}

/// As [`Pair::is_own`], of a mapping.
pub(crate) fn is_own(change: &Change) -> bool {
    let own = |side: &Option<model::Side>| {
        side.map(|side| {
            (
                side.start,
                side.end,
                side.permissions,
                side.rss_bytes,
                side.swap_bytes,
            )
        })
    };
    own(&change.before) != own(&change.after)
}

/// Pids are used again, so the time of the start must be the same, too.
pub(crate) fn is_same_process(before: &Snapshot, after: &Snapshot) -> bool {
    let of = |snapshot: &Snapshot| (snapshot.head.pid, snapshot.head.started_ticks);
    of(before) == of(after) && before.head.kernel == after.head.kernel
}

fn full(group: &groups::Group) -> String {
    let deleted = if group.deleted { " (deleted)" } else { "" };
    format!("{}{deleted}", group.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maps::snapshot::{Head, Raw};

    fn snapshot(pid: u32, smaps: &str) -> Snapshot {
        Snapshot::new(Raw {
            head: Head {
                pid,
                ..Head::default()
            },
            smaps: smaps.as_bytes().to_vec(),
            rollup: Err(String::new()),
            status: Err(String::new()),
            heap: Err(String::new()),
            pages: Err(String::new()),
        })
    }

    const BEFORE: &str = "1000-3000 rw-p 0 0:0 0\nRss: 8 kB\n4000-5000 r-xp 0 8:1 1 /p\nRss: 4 kB\n6000-7000 r-xp 0 8:1 2 /l\nRss: 4 kB\n";
    const AFTER: &str = "1000-2000 rw-p 0 0:0 0\nRss: 4 kB\n2000-3000 rw-p 0 0:0 0\nRss: 4 kB\n4000-5000 r-xp 0 8:1 1 /p\nRss: 4 kB\n8000-9000 r-xp 0 8:1 3 /m\nRss: 64 kB\n";

    #[test]
    fn changes_add_up_to_the_change_of_the_process() {
        let difference = Difference::new(&snapshot(7, BEFORE), &snapshot(7, AFTER));
        let kinds: i64 = difference.kinds.iter().map(|kind| kind.pair.rss_change()).sum();
        assert_eq!((kinds, difference.total.rss_change()), (60 << 10, 60 << 10));
        let fates: Vec<(&str, Option<Fate>)> = difference
            .kinds
            .iter()
            .flat_map(|kind| {
                kind.names
                    .iter()
                    .map(|name| (name.name.as_str(), name.pair.fate()))
            })
            .collect();
        assert_eq!(
            fates,
            [
                ("/m", Some(Fate::Appeared)),
                ("/l", Some(Fate::Went)),
                ("[anonymous]", Some(Fate::Changed)),
            ]
        );
        let starts: Vec<u64> = difference
            .mappings
            .unwrap()
            .iter()
            .map(|change| change.start)
            .collect();
        assert_eq!(starts, [0x1000, 0x2000, 0x6000, 0x8000]);
    }

    #[test]
    fn what_others_map_is_no_difference() {
        let with = |pss: &str| {
            snapshot(
                7,
                &format!("1000-3000 r--p 0 8:1 1 /l\nRss: 8 kB\nPss: {pss} kB\n"),
            )
        };
        let difference = Difference::new(&with("8"), &with("4"));
        assert!(!difference.is_any() && difference.kinds.len() == 1);
        assert_eq!(difference.mappings.as_ref().map(Vec::len), Some(1));
    }

    #[test]
    fn mappings_of_two_processes_are_not_paired() {
        let (one, other) = (snapshot(7, BEFORE), snapshot(8, BEFORE));
        assert!(Difference::new(&one, &other).mappings.is_none());
        assert!(!Difference::new(&one, &other).is_any());
        assert!(!Difference::new(&one, &snapshot(7, BEFORE)).is_any());
    }
}
