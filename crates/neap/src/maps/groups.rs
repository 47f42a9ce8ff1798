//! Mappings grouped by kind, and in a kind by name: a library once, however many mappings it has.
//!
//! Every mapping is in one group, and every group in one row or in the rest of its kind, so the rows of a table
//! add up to the process. Anonymous memory has no name, so it is told apart by what may be done with it;
//! memory of libneap.so's heap by what the heap uses it for.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use clap::ValueEnum;
use neap_proc::model::{Kind, Total};
use neap_proc::parse::{Name, NameId, SmapsEntry, SmapsField};

use super::snapshot::Snapshot;
use crate::heap::Role;

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// Most resident
    Rss,
    /// Greatest share of resident memory
    Pss,
    /// Longest
    Size,
    /// Most private and dirty
    Dirty,
    /// Most in swap
    Swap,
    /// Most in huge pages
    Huge,
    /// Most mappings
    Maps,
    /// By name
    Name,
    /// Lowest address
    Address,
}

/// Mappings of one kind and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// As the kernel names it, or in brackets what it is.
    pub(crate) name: String,
    /// The file has no name any more.
    pub(crate) deleted: bool,
    /// What the heap of libneap.so uses it for.
    pub(crate) role: Option<Role>,
    /// The lowest address.
    pub(crate) start: u64,
    pub(crate) total: Total,
}

/// Mappings of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KindGroup {
    pub(crate) kind: Kind,
    pub(crate) total: Total,
    /// In the order asked for.
    pub(crate) groups: Vec<Group>,
    /// How many groups were too small to be in `groups`, and their sums.
    pub(crate) rest: (u64, Total),
}

/// What may be done with anonymous memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Access {
    Any,
    Executable,
    ReadOnly,
    None,
}

/// What makes mappings one group.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Role(Role),
    Named(NameId),
    Nameless(Access),
}

impl Order {
    /// Sorts rows. Ties go by name.
    pub(crate) fn sort<T>(self, rows: &mut [T], of: impl Fn(&T) -> (&Total, &str, u64)) {
        rows.sort_by_cached_key(|row| {
            let (total, name, start) = of(row);
            (self.rank(total, start), name.to_owned())
        });
    }

    /// Less is first. What the kernel did not say comes last.
    fn rank(self, total: &Total, start: u64) -> (Reverse<Option<u64>>, u64) {
        let size = |field| Reverse(total.sizes.get(field));
        match self {
            Order::Rss => (size(SmapsField::Rss), 0),
            Order::Pss => (size(SmapsField::Pss), 0),
            Order::Size => (Reverse(Some(total.len_bytes)), 0),
            Order::Dirty => (size(SmapsField::PrivateDirty), 0),
            Order::Swap => (size(SmapsField::Swap), 0),
            Order::Huge => (Reverse(super::sums::huge(&total.sizes)), 0),
            Order::Maps => (Reverse(Some(total.mappings)), 0),
            Order::Name => (Reverse(None), 0),
            Order::Address => (Reverse(None), start),
        }
    }
}

/// The groups of a snapshot, those with less than `least_bytes` resident in the rest of their kind.
pub(crate) fn groups(snapshot: &Snapshot, order: Order, least_bytes: u64) -> Vec<KindGroup> {
    let mut keyed: BTreeMap<(Kind, Key), (u64, Total)> = BTreeMap::new();
    for (entry, kind) in snapshot.space.mappings() {
        let (_, total) = keyed
            .entry((kind, key(snapshot, entry, kind)))
            .or_insert((entry.start, Total::default()));
        total.add(entry);
    }
    let mut kinds: BTreeMap<Kind, KindGroup> = BTreeMap::new();
    for ((kind, key), (start, total)) in keyed {
        let of_kind = kinds.entry(kind).or_insert_with(|| KindGroup {
            kind,
            total: Total::default(),
            groups: Vec::new(),
            rest: (0, Total::default()),
        });
        of_kind.total.join(&total);
        if total.sizes.get(SmapsField::Rss).unwrap_or(u64::MAX) < least_bytes {
            of_kind.rest.0 += 1;
            of_kind.rest.1.join(&total);
        } else {
            of_kind.groups.push(group(snapshot, &key, start, total));
        }
    }
    let mut kinds: Vec<KindGroup> = kinds.into_values().collect();
    for of_kind in &mut kinds {
        order.sort(&mut of_kind.groups, |group| {
            (&group.total, &group.name, group.start)
        });
    }
    let first = |of_kind: &KindGroup| of_kind.groups.iter().map(|group| group.start).min();
    order.sort(&mut kinds, |of_kind| {
        (
            &of_kind.total,
            of_kind.kind.word(),
            first(of_kind).unwrap_or(u64::MAX),
        )
    });
    kinds
}

/// What a mapping is called in reports, and whether its file has gone.
pub(crate) fn label(snapshot: &Snapshot, entry: &SmapsEntry, kind: Kind) -> (String, bool) {
    named(snapshot, &key(snapshot, entry, kind))
}

fn key(snapshot: &Snapshot, entry: &SmapsEntry, kind: Kind) -> Key {
    let role = || snapshot.heap.as_ref().ok()?.role(&(entry.start..entry.end));
    match kind {
        Kind::Neap if let Some(role) = role() => Key::Role(role),
        _ if *snapshot.space.smaps().name(entry.name) == Name::Anonymous => Key::Nameless(access(entry)),
        _ => Key::Named(entry.name),
    }
}

fn access(entry: &SmapsEntry) -> Access {
    let permissions = entry.permissions;
    match (permissions.read, permissions.write, permissions.execute) {
        (_, _, true) => Access::Executable,
        (_, true, false) => Access::Any,
        (true, false, false) => Access::ReadOnly,
        (false, false, false) => Access::None,
    }
}

fn group(snapshot: &Snapshot, key: &Key, start: u64, total: Total) -> Group {
    let (name, deleted) = named(snapshot, key);
    let role = match key {
        Key::Role(role) => Some(*role),
        Key::Named(_) | Key::Nameless(_) => None,
    };
    Group {
        name,
        deleted,
        role,
        start,
        total,
    }
}

fn named(snapshot: &Snapshot, key: &Key) -> (String, bool) {
    match key {
        Key::Role(role) => (format!("[neap: {}]", role.word()), false),
        Key::Nameless(Access::Any) => ("[anonymous]".to_owned(), false),
        Key::Nameless(Access::Executable) => ("[anonymous, executable]".to_owned(), false),
        Key::Nameless(Access::ReadOnly) => ("[anonymous, read only]".to_owned(), false),
        Key::Nameless(Access::None) => ("[anonymous, no access]".to_owned(), false),
        Key::Named(id) => match snapshot.space.smaps().name(*id) {
            Name::Anonymous => ("[anonymous]".to_owned(), false),
            Name::Named(name) => (format!("[anon:{name}]"), false),
            Name::Special(name) => (name.clone(), false),
            Name::File { path, deleted } => (path.clone(), *deleted),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::HeapSpan;
    use crate::maps::heap::Heap;
    use crate::maps::snapshot::{Head, Raw};

    const SMAPS: &[u8] = include_bytes!("../../../proc/tests/fixtures/linux-6.18/proc/4711/smaps");

    fn snapshot(smaps: &[u8], heap: Result<Heap, String>) -> Snapshot {
        Snapshot::new(Raw {
            head: Head::default(),
            smaps: smaps.to_vec(),
            rollup: Err(String::new()),
            status: Err(String::new()),
            heap,
            pages: Err(String::new()),
        })
    }

    #[test]
    fn rows_and_rests_add_up_to_the_process() {
        let snapshot = snapshot(SMAPS, Err(String::new()));
        for least_bytes in [0, 1, 100 << 10, u64::MAX] {
            let mut sum = Total::default();
            for of_kind in groups(&snapshot, Order::Rss, least_bytes) {
                let mut kind = of_kind.rest.1;
                of_kind.groups.iter().for_each(|group| kind.join(&group.total));
                assert_eq!(kind, of_kind.total);
                sum.join(&kind);
            }
            assert_eq!(sum, snapshot.space.total());
        }
    }

    #[test]
    fn a_library_is_one_row_and_the_greatest_comes_first() {
        let snapshot = snapshot(SMAPS, Err(String::new()));
        let kinds = groups(&snapshot, Order::Rss, 0);
        let rss = |total: &Total| total.sizes.get(SmapsField::Rss).unwrap();
        assert!(kinds.is_sorted_by_key(|of_kind| Reverse(rss(&of_kind.total))));
        let libraries = kinds
            .iter()
            .find(|of_kind| of_kind.kind == Kind::Library)
            .unwrap();
        let libc: Vec<&Group> = libraries
            .groups
            .iter()
            .filter(|g| g.name.contains("/libc.so"))
            .collect();
        assert!(libc.len() == 1 && libc[0].total.mappings > 1);
        let by_name = groups(&snapshot, Order::Name, 0);
        assert!(by_name.is_sorted_by_key(|of_kind| of_kind.kind.word()));
        assert!(
            by_name
                .iter()
                .all(|of_kind| of_kind.groups.is_sorted_by(|a, b| a.name <= b.name))
        );
        let by_address = groups(&snapshot, Order::Address, 0);
        assert!(
            by_address
                .iter()
                .all(|of_kind| of_kind.groups.is_sorted_by_key(|group| group.start))
        );
    }

    #[test]
    fn nameless_memory_is_told_apart_and_the_heap_by_its_use() {
        let text = b"1000-2000 rw-p 0 0:0 0\n2000-3000 ---p 0 0:0 0\n3000-4000 rwxp 0 0:0 0\n4000-5000 r--p 0 0:0 0\n5000-6000 rw-p 0 0:0 0\n8000-9000 rw-p 0 0:0 0 [anon:pool]\n";
        let span = |addresses, role| HeapSpan { addresses, role };
        let heap = Heap {
            spans: vec![
                span(0x1000..0x2000, Role::Window),
                span(0x5000..0x6000, Role::Records),
            ],
            ..Heap::default()
        };
        let snapshot = snapshot(text, Ok(heap));
        let kinds = groups(&snapshot, Order::Address, 0);
        let names: Vec<&str> = kinds
            .iter()
            .flat_map(|k| &k.groups)
            .map(|group| group.name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "[neap: window]",
                "[neap: records]",
                "[anonymous, no access]",
                "[anonymous, executable]",
                "[anonymous, read only]",
                "[anon:pool]"
            ]
        );
        assert_eq!(kinds[0].groups[1].role, Some(Role::Records));
    }
}
