//! An examination as text.

use std::fmt::Write as _;

use super::screen::{Role, Screen};
use super::sparkline::Charset;
use super::text::{printable, wrap};
use crate::doctor::{Check, Examination, Need, Status};

const STATUS_COLUMNS: usize = 9;
const NAME_COLUMNS: usize = 28;

/// Grouped, aligned, newline at the end. What is not ok has its cost and its mend below.
pub(crate) fn render(examination: &Examination, screen: &Screen) -> String {
    let mut text = String::new();
    for line in wrap(&format!("neap doctor  ({})", examination.machine), screen.columns) {
        let _ = writeln!(text, "{}", screen.paint(Role::Title, &line));
    }
    for group in &examination.groups {
        let _ = writeln!(text, "\n{}", screen.paint(Role::Title, group.name));
        for check in &group.checks {
            one(&mut text, check, screen);
        }
    }
    let role = if examination.healthy {
        Role::Good
    } else {
        Role::Bad
    };
    let _ = writeln!(text, "\n{}", screen.paint(role, &examination.verdict));
    match screen.charset {
        Charset::Unicode => text,
        Charset::Ascii => text.replace('µ', "u"),
    }
}

fn one(text: &mut String, check: &Check, screen: &Screen) {
    let (word, role) = match (check.status, check.need) {
        (Status::Ok, _) => ("ok", Role::Good),
        (Status::Limited, _) => ("limited", Role::Label),
        (Status::Missing, Need::Needed) => ("MISSING", Role::Bad),
        (Status::Missing, Need::Optional) => ("missing", Role::Label),
        (Status::Denied, Need::Needed) => ("DENIED", Role::Bad),
        (Status::Denied, Need::Optional) => ("denied", Role::Label),
        (Status::Unknown, Need::Needed) => ("UNKNOWN", Role::Bad),
        (Status::Unknown, Need::Optional) => ("unknown", Role::Label),
    };
    let status = screen.paint(role, &format!("  {word:STATUS_COLUMNS$}"));
    let indent = STATUS_COLUMNS + 2 + NAME_COLUMNS;
    let room = screen.columns.saturating_sub(indent).max(20);
    let mut found = wrap(&printable(&check.found), room).into_iter();
    let first = found.next().unwrap_or_default();
    let _ = writeln!(text, "{status}{:NAME_COLUMNS$}{first}", check.name);
    for line in found {
        let _ = writeln!(text, "{:indent$}{}", "", line.trim_start());
    }
    if check.status == Status::Ok {
        return;
    }
    for (label, sentence) in [("costs", check.cost), ("mend", check.mend)] {
        if sentence.is_empty() {
            continue;
        }
        let room = screen.columns.saturating_sub(STATUS_COLUMNS + 4 + 7).max(20);
        for (index, line) in wrap(sentence, room).iter().enumerate() {
            let label = if index == 0 {
                format!("{label}:")
            } else {
                String::new()
            };
            let line = format!(
                "{:width$}{label:7}{}",
                "",
                line.trim_start(),
                width = STATUS_COLUMNS + 4
            );
            let _ = writeln!(text, "{}", screen.paint(Role::Dim, &line));
        }
    }
}
