//! Which processes are listed, and in which order.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use clap::ValueEnum;
use neap_proc::Reading;

use super::row::Row;

/// What a list can be sorted by; each is a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Column {
    /// Its pid
    Pid,
    /// Its user's name
    User,
    /// Proportional set size: shared pages divided by who shares them
    Pss,
    /// Unique set size: what only this process has
    Uss,
    /// Resident set size: all it has in memory
    Rss,
    /// What it has in swap
    Swap,
    /// How fast RSS grows
    Growth,
    /// Page faults a second
    Faults,
    /// CPU time
    Cpu,
    /// Its command line
    Command,
}

impl Column {
    /// In the order of the screen.
    pub(crate) const ALL: [Column; 10] = [
        Column::Pid,
        Column::User,
        Column::Pss,
        Column::Uss,
        Column::Rss,
        Column::Swap,
        Column::Growth,
        Column::Faults,
        Column::Cpu,
        Column::Command,
    ];

    /// The head of the column.
    pub(crate) const fn head(self) -> &'static str {
        match self {
            Column::Pid => "PID",
            Column::User => "USER",
            Column::Pss => "PSS",
            Column::Uss => "USS",
            Column::Rss => "RSS",
            Column::Swap => "SWAP",
            Column::Growth => "GROWTH/s",
            Column::Faults => "FAULT/s",
            Column::Cpu => "CPU%",
            Column::Command => "COMMAND",
        }
    }

    /// The key that sorts by it.
    pub(crate) const fn key(self) -> char {
        match self {
            Column::Pid => 'i',
            Column::User => 'o',
            Column::Pss => 'p',
            Column::Uss => 'u',
            Column::Rss => 'r',
            Column::Swap => 's',
            Column::Growth => 'g',
            Column::Faults => 'f',
            Column::Cpu => 'c',
            Column::Command => 'n',
        }
    }

    /// The column so many places further on the screen, from the ends no further.
    pub(crate) fn moved(self, by: isize) -> Column {
        let at = Column::ALL.iter().position(|column| *column == self).unwrap_or(0);
        let to = at.saturating_add_signed(by).min(Column::ALL.len() - 1);
        Column::ALL.get(to).copied().unwrap_or(self)
    }
}

/// Sizes and rates descend, names and pids ascend, unless reversed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Usual,
    Reversed,
}

impl Direction {
    pub(crate) fn turned(self) -> Direction {
        match self {
            Direction::Usual => Direction::Reversed,
            Direction::Reversed => Direction::Usual,
        }
    }
}

/// A column and a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sort {
    pub(crate) column: Column,
    pub(crate) direction: Direction,
}

/// Which rows are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Part of the command line or of the name, capitals or not; empty for all.
    pub(crate) text: String,
    /// Part of the user's name; empty for all.
    pub(crate) user: String,
    /// The user's number.
    pub(crate) user_id: Option<u32>,
}

impl Filter {
    pub(crate) fn admits(&self, row: &Row) -> bool {
        let has = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
        let user_id = row.process.user.value();
        let by_user = match &row.user {
            Some(name) => self.user.is_empty() || has(name, &self.user),
            None => self.user.is_empty(),
        };
        by_user
            && self.user_id.is_none_or(|id| user_id == Some(id))
            && (self.text.is_empty() || has(&row.command, &self.text) || has(&row.process.name, &self.text))
    }
}

impl Sort {
    /// What is not known comes last, whatever the direction; among equals the larger RSS, then the lower pid
    /// comes first.
    pub(crate) fn compare(self, a: &Row, b: &Row) -> Ordering {
        let by_column = match self.column {
            Column::Pid => self.known(Some(a.process.pid), Some(b.process.pid)),
            Column::User => self.known(a.user.as_deref(), b.user.as_deref()),
            Column::Command => self.known(Some(&a.command), Some(&b.command)),
            Column::Pss => self.sizes(a, b, |row| row.process.footprint.proportional_bytes),
            Column::Uss => self.sizes(a, b, |row| row.process.footprint.unique_bytes),
            Column::Swap => self.sizes(a, b, |row| row.process.footprint.swap_bytes),
            Column::Rss => self.sizes(a, b, |row| row.process.resident_bytes),
            Column::Growth => self.rates(a, b, |row| row.rates?.resident_growth_bytes_per_second),
            Column::Faults => self.rates(a, b, Row::faults_per_second),
            Column::Cpu => self.rates(a, b, |row| Some(row.rates?.cpu_share)),
        };
        let resident = |row: &Row| row.process.resident_bytes.value();
        by_column
            .then_with(|| resident(b).cmp(&resident(a)))
            .then_with(|| a.process.pid.cmp(&b.process.pid))
    }

    fn sizes(self, a: &Row, b: &Row, size: impl Fn(&Row) -> Reading<u64>) -> Ordering {
        let descending = |row: &Row| size(row).value().map(std::cmp::Reverse);
        self.known(descending(a), descending(b))
    }

    fn rates(self, a: &Row, b: &Row, rate: impl Fn(&Row) -> Option<f64>) -> Ordering {
        match (rate(a), rate(b)) {
            (Some(a), Some(b)) => self.directed(b.total_cmp(&a)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        }
    }

    fn known<T: Ord>(self, a: Option<T>, b: Option<T>) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) => self.directed(a.cmp(&b)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        }
    }

    fn directed(self, ordering: Ordering) -> Ordering {
        match self.direction {
            Direction::Usual => ordering,
            Direction::Reversed => ordering.reverse(),
        }
    }
}

/// A place in the list: the row's index and how deep it is in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) index: usize,
    pub(crate) depth: usize,
}

/// The rows that a filter admits, sorted.
pub(crate) fn flat(rows: &[Row], filter: &Filter, sort: Sort) -> Vec<Place> {
    let admitted = rows.iter().enumerate().filter(|(_, row)| filter.admits(row));
    let mut listed: Vec<(usize, &Row)> = admitted.collect();
    listed.sort_by(|(_, a), (_, b)| sort.compare(a, b));
    let place = |(index, _): (usize, &Row)| Place { index, depth: 0 };
    listed.into_iter().map(place).collect()
}

/// The same under their parents, brothers sorted. Who has no parent in the list stands at the left.
pub(crate) fn tree(rows: &[Row], filter: &Filter, sort: Sort) -> Vec<Place> {
    let listed = flat(rows, filter, sort);
    let pid_of = |place: &Place| rows.get(place.index).map(|row| row.process.pid);
    let present: HashSet<u32> = listed.iter().filter_map(pid_of).collect();
    let mut children: HashMap<u32, Vec<Place>> = HashMap::new();
    let mut waiting = Vec::new();
    for place in &listed {
        let Some(row) = rows.get(place.index) else {
            continue;
        };
        let parent = row.process.parent;
        if present.contains(&parent) && parent != row.process.pid {
            children.entry(parent).or_default().push(*place);
        } else {
            waiting.push(*place);
        }
    }
    waiting.reverse();
    let mut places = Vec::with_capacity(listed.len());
    while let Some(place) = waiting.pop() {
        places.push(place);
        let own = pid_of(&place).and_then(|pid| children.remove(&pid));
        let deeper = own.into_iter().flatten().rev().map(|child| Place {
            index: child.index,
            depth: place.depth + 1,
        });
        waiting.extend(deeper);
    }
    // Pids are reused while a table is read, so two processes may seem to be each other's parents.
    places.extend(children.into_values().flatten());
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::row::tests::process;
    use neap_proc::model::{Footprint, Rates};

    fn row(pid: u32, name: &str, mib: u64, pss: Reading<u64>) -> Row {
        let mut process = process(pid, name, mib << 20);
        process.footprint = Footprint::missing(pss);
        Row::new(process, None, Some("ann".into()))
    }

    fn rows() -> Vec<Row> {
        vec![
            row(1, "init", 5, Reading::Value(1 << 20)),
            row(2, "Server", 50, Reading::Denied),
            row(3, "browser", 40, Reading::Value(30 << 20)),
            row(4, "shell", 60, Reading::Denied),
        ]
    }

    fn pids(rows: &[Row], places: &[Place]) -> Vec<(u32, usize)> {
        places
            .iter()
            .map(|place| (rows[place.index].process.pid, place.depth))
            .collect()
    }

    fn sorted(column: Column, direction: Direction) -> Vec<u32> {
        let rows = rows();
        let places = flat(&rows, &Filter::default(), Sort { column, direction });
        pids(&rows, &places).into_iter().map(|(pid, _)| pid).collect()
    }

    #[test]
    fn what_is_denied_comes_last_in_both_directions_by_rss() {
        assert_eq!(sorted(Column::Pss, Direction::Usual), [3, 1, 4, 2]);
        assert_eq!(sorted(Column::Pss, Direction::Reversed), [1, 3, 4, 2]);
        assert_eq!(sorted(Column::Rss, Direction::Usual), [4, 2, 3, 1]);
        assert_eq!(sorted(Column::Pid, Direction::Reversed), [4, 3, 2, 1]);
        assert_eq!(
            sorted(Column::Faults, Direction::Usual),
            [4, 2, 3, 1],
            "no rates yet"
        );
    }

    #[test]
    fn a_shrinking_process_is_below_a_still_one() {
        let mut rows = rows();
        let rates = |growth| Rates {
            minor_faults_per_second: 0.0,
            major_faults_per_second: 0.0,
            cpu_share: 0.0,
            resident_growth_bytes_per_second: Some(growth),
        };
        for (row, growth) in rows.iter_mut().zip([-5.0, 7.0, 0.0]) {
            row.rates = Some(rates(growth));
        }
        let sort = Sort {
            column: Column::Growth,
            direction: Direction::Usual,
        };
        let places = flat(&rows, &Filter::default(), sort);
        assert_eq!(pids(&rows, &places), [(2, 0), (3, 0), (1, 0), (4, 0)]);
    }

    #[test]
    fn filters_take_parts_of_names_without_capitals() {
        let rows = rows();
        let admitted = |filter: Filter| {
            let sort = Sort {
                column: Column::Pid,
                direction: Direction::Usual,
            };
            let places = flat(&rows, &filter, sort);
            pids(&rows, &places)
                .into_iter()
                .map(|(pid, _)| pid)
                .collect::<Vec<_>>()
        };
        let text = |text: &str| Filter {
            text: text.to_owned(),
            ..Filter::default()
        };
        assert_eq!(admitted(text("SER")), [2, 3]);
        assert_eq!(admitted(text("--id=4")), [4]);
        assert!(admitted(text("nothing")).is_empty());
        let nobody = Filter {
            user: "bob".to_owned(),
            ..Filter::default()
        };
        assert!(admitted(nobody).is_empty());
        let number = |id| Filter {
            user_id: Some(id),
            ..Filter::default()
        };
        assert_eq!(admitted(number(1000)).len(), 4);
        assert!(admitted(number(0)).is_empty());
    }

    #[test]
    fn children_stand_under_their_parents_and_a_loop_loses_nobody() {
        let mut rows = rows();
        rows[1].process.parent = 4;
        rows[2].process.parent = 2;
        rows[0].process.parent = 0;
        rows[3].process.parent = 77;
        let sort = Sort {
            column: Column::Rss,
            direction: Direction::Usual,
        };
        let places = tree(&rows, &Filter::default(), sort);
        assert_eq!(pids(&rows, &places), [(4, 0), (2, 1), (3, 2), (1, 0)]);
        rows[3].process.parent = 3;
        assert_eq!(tree(&rows, &Filter::default(), sort).len(), 4);
    }

    #[test]
    fn every_column_has_a_key_of_its_own() {
        let keys: std::collections::HashSet<char> = Column::ALL.iter().map(|c| c.key()).collect();
        assert_eq!(keys.len(), Column::ALL.len());
        assert_eq!(Column::Pid.moved(-1), Column::Pid);
        assert_eq!(Column::Pid.moved(2), Column::Pss);
        assert_eq!(Column::Command.moved(5), Column::Command);
    }
}
