//! What two records do differently, as text.

use std::fmt::Write as _;

use super::{INDENT, NAME_COLUMNS};
use crate::lab::compare::Comparison;
use crate::lab::record::Verdict;
use crate::report::screen::{Role, Screen};
use crate::report::text::printable;

/// What two records do differently.
pub(crate) fn differences(comparison: &Comparison, screen: &Screen) -> String {
    let mut text = String::new();
    let title = format!("{}  against  {}", comparison.first, comparison.second);
    let _ = writeln!(text, "{}", screen.paint(Role::Title, &title));
    for difference in &comparison.differences {
        let words = format!("{} -> {}", difference.first.word(), difference.second.word());
        let _ = writeln!(text, "{:NAME_COLUMNS$}{words}", difference.name);
        for (what, first, second) in &difference.checks {
            let side =
                |found: &Option<String>| found.as_deref().map_or("not looked at".to_owned(), printable);
            let _ = writeln!(
                text,
                "{INDENT}{INDENT}{what}: {} -> {}",
                side(first),
                side(second)
            );
        }
        for verdict in [&difference.first, &difference.second] {
            if let Verdict::CannotRun { why, .. } = verdict {
                let _ = writeln!(text, "{INDENT}{INDENT}{}", printable(why));
            }
        }
    }
    for (names, which) in [
        (&comparison.only_in_first, "first"),
        (&comparison.only_in_second, "second"),
    ] {
        for name in names {
            let _ = writeln!(text, "{name:NAME_COLUMNS$}only in the {which}");
        }
    }
    let _ = writeln!(
        text,
        "{} differences; {} of {} experiments alike",
        comparison.differences.len() + comparison.only_in_first.len() + comparison.only_in_second.len(),
        comparison.alike,
        comparison.in_both
    );
    text
}
