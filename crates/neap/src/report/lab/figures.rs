//! The figures of a look: which there are, in which order, and by how much they moved since the look before;
//! and what the runs of one experiment found under the same name.

use crate::lab::record::{Event, Run};
use crate::lab::sight::Sight;
use crate::unit;

/// One figure of a look.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// `None`: this kernel does not write it.
    pub(super) value: Option<u64>,
    /// `kB`, or nothing for a count.
    pub(super) unit: &'static str,
    pub(super) scope: Scope,
}

/// Whose a figure is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Of the process alone.
    Process,
    /// Of the whole system: other programs move it, too.
    System,
}

/// The lines of `/proc/PID/status`, `/proc/meminfo` and the columns of free(1) that are shown.
const STATUS: &[&str] = &[
    "VmSize", "RssAnon", "RssFile", "RssShmem", "VmSwap", "VmLck", "VmPTE",
];
const SYSTEM: &[&str] = &["used", "free", "shared", "buff/cache", "available"];

/// All figures, in the order in which they are shown. `page_bytes` is of the machine of the record.
pub(super) fn rows(sight: &Sight, page_bytes: u64) -> Vec<Row> {
    let own = |name, value, unit| Row {
        name,
        value,
        unit,
        scope: Scope::Process,
    };
    let pages = sight.statm_pages.get("resident").copied();
    let resident = pages.map(|pages| pages * page_bytes / 1024);
    let mut rows = vec![
        own("statm resident", resident, "kB"),
        own("smaps Rss", sight.smaps_kb.get("Rss").copied(), "kB"),
        own("smaps Pss", sight.smaps_kb.get("Pss").copied(), "kB"),
    ];
    rows.extend(
        STATUS
            .iter()
            .map(|name| own(name, sight.status_kb.get(*name).copied(), "kB")),
    );
    rows.push(own("mappings", Some(sight.mappings), ""));
    rows.push(own("minor faults", sight.minor_faults, ""));
    rows.push(own("major faults", sight.major_faults, ""));
    let system = |name: &'static str, key: &str, unit| Row {
        name,
        value: sight.system_kb.get(key).copied(),
        unit,
        scope: Scope::System,
    };
    rows.extend(SYSTEM.iter().map(|name| system(name, name, "kB")));
    rows.push(system("Committed_AS", "Committed_AS", "kB"));
    rows.push(system("huge pages free", "HugePages_Free", ""));
    rows
}

/// What the system must move before it is told: others move it a little all the time.
const SYSTEM_NOISE_KB: u64 = 1024;

/// The figures of a first look; of a later one those that moved, and by how much.
pub(super) fn moved(sight: &Sight, before: Option<&Sight>, page_bytes: u64) -> Vec<String> {
    let old = before.map(|before| rows(before, page_bytes));
    rows(sight, page_bytes)
        .into_iter()
        .enumerate()
        .filter_map(|(index, row)| {
            let value = row.value?;
            let name = label(&row);
            let blank = if row.unit.is_empty() { "" } else { " " };
            let was = old.as_ref().and_then(|old| old[index].value);
            match was {
                Some(was) if was == value => None,
                Some(was)
                    if row.scope == Scope::System
                        && row.unit == "kB"
                        && was.abs_diff(value) < SYSTEM_NOISE_KB =>
                {
                    None
                }
                Some(was) => Some(format!("{name} {}{blank}{}", difference(was, value), row.unit)),
                None if before.is_some() || row.scope == Scope::System => None,
                None => Some(format!("{name} {}{blank}{}", unit::count(value), row.unit)),
            }
        })
        .collect()
}

/// The figure's name, with `free:` before the columns of free(1).
pub(super) fn label(row: &Row) -> String {
    if SYSTEM.contains(&row.name) {
        format!("free: {}", row.name)
    } else {
        row.name.to_owned()
    }
}

/// `+12` or `-12`; nothing where nothing moved.
pub(super) fn difference(was: u64, value: u64) -> String {
    let sign = match value.cmp(&was) {
        std::cmp::Ordering::Less => "-",
        std::cmp::Ordering::Equal => return String::new(),
        std::cmp::Ordering::Greater => "+",
    };
    format!("{sign}{}", unit::count(was.abs_diff(value)))
}

/// The names of all that any of the runs found, each once, in order.
pub(super) fn whats(runs: &[Run]) -> Vec<&str> {
    let mut whats: Vec<&str> = Vec::new();
    for event in runs.iter().flat_map(|run| &run.events) {
        let what = match event {
            Event::Check(check) => &check.what,
            Event::Figure { what, .. } => what,
            Event::Look(_) | Event::Changed { .. } => continue,
        };
        if !whats.contains(&what.as_str()) {
            whats.push(what);
        }
    }
    whats
}

/// What a run found under this name.
pub(super) fn found<'a>(run: &'a Run, what: &str) -> Option<&'a str> {
    run.events.iter().find_map(|event| match event {
        Event::Check(check) if check.what == what => Some(check.found.as_str()),
        Event::Figure { what: name, found } if name == what => Some(found.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn sight(resident_pages: u64, used_kb: u64) -> Sight {
        Sight {
            statm_pages: BTreeMap::from([("resident".to_owned(), resident_pages)]),
            system_kb: BTreeMap::from([("used".to_owned(), used_kb)]),
            mappings: 9,
            ..Sight::default()
        }
    }

    #[test]
    fn a_first_look_shows_what_is_and_a_later_one_what_moved() {
        let (first, second) = (sight(10, 5000), sight(12, 5100));
        assert_eq!(moved(&first, None, 4096), ["statm resident 40 kB", "mappings 9"]);
        assert_eq!(moved(&second, Some(&first), 4096), ["statm resident +8 kB"]);
        assert_eq!(
            moved(&sight(10, 9000), Some(&second), 16384),
            ["statm resident -32 kB", "free: used +3 900 kB"]
        );
    }

    #[test]
    fn what_this_kernel_does_not_write_is_left_out() {
        let said = moved(&Sight::default(), None, 4096).join(" ");
        assert_eq!(said, "mappings 0");
    }
}
