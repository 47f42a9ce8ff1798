//! Every errno that the memory calls are known for is provoked, and arrives as its kind, with what was asked,
//! of which bytes, and how to mend it.
//!
//! One row per case; each runs in a child of its own, which may lower its limits and give up its rights. The
//! table of docs/errors.md has the same rows: the test `the_document_has_every_case` compares them.
#![allow(unsafe_code)]

#[path = "../child/mod.rs"]
mod child;
#[path = "../kernel/mod.rs"]
mod kernel;
#[path = "../memory/mod.rs"]
mod memory;
#[path = "../../src/skip.rs"]
mod skip;

mod advice;
mod calls;
mod mapping;
mod objects;
mod segments;

use neap_map::{Errno, Error, Kind, Operation};
use std::ops::Range;

/// What came of provoking.
enum Outcome {
    Said(Error),
    /// The kernel did what it should have refused.
    Allowed,
    /// Not here, and why.
    Skipped(String),
}

/// A way to make a call fail, and what it must say.
struct Case {
    /// Unique: `call: what provokes it`.
    name: &'static str,
    /// `None`: the library refuses before the kernel is asked, or an access faulted.
    errno: Option<Errno>,
    kind: Kind,
    operation: Operation,
    range: Range<u64>,
    provoke: fn() -> Outcome,
}

impl Case {
    fn check(&self) -> Result<(), String> {
        let error = match (self.provoke)() {
            Outcome::Said(error) => error,
            Outcome::Skipped(why) => return Err(why),
            Outcome::Allowed => panic!("{}: it was allowed", self.name),
        };
        let text = error.to_string();
        assert_eq!(error.kind(), self.kind, "{}: {text}", self.name);
        assert_eq!(error.errno(), self.errno, "{}: {text}", self.name);
        assert_eq!(error.operation(), self.operation, "{}: {text}", self.name);
        assert_eq!(error.range(), self.range, "{}: {text}", self.name);
        assert!(text.contains(error.kind().mend()), "{}: {text}", self.name);
        let number = self.errno.and_then(Errno::name).unwrap_or("");
        assert!(text.contains(number), "{}: {text}", self.name);
        Ok(())
    }

    /// As in docs/errors.md.
    fn row(&self) -> String {
        let (call, provoked) = self.name.split_once(": ").expect("call: what provokes it");
        let number = self
            .errno
            .map_or("none", |errno| errno.name().expect("a known errno"));
        let kind = format!("{:?}", self.kind);
        format!("| {call} | {number} | `{kind}` | {provoked} |")
    }
}

/// The refusal; that it was allowed is the test's failure.
fn said<T, E: Into<Error>>(answer: Result<T, E>) -> Outcome {
    match answer {
        Ok(_) => Outcome::Allowed,
        Err(error) => Outcome::Said(error.into()),
    }
}

fn skipped(why: impl Into<String>) -> Outcome {
    Outcome::Skipped(why.into())
}

fn cases() -> impl Iterator<Item = &'static Case> {
    [
        mapping::CASES,
        calls::CASES,
        advice::CASES,
        objects::CASES,
        segments::CASES,
    ]
    .into_iter()
    .flatten()
}

#[test]
fn provoked_errnos_arrive_as_their_kinds() {
    const SKIPPED: i32 = 77;
    let mut failed = Vec::new();
    for case in cases() {
        let pid = child::start(|| {
            if let Err(why) = case.check() {
                skip::skip(format_args!("{}: {why}", case.name));
                // SAFETY: ends this child.
                unsafe { libc::_exit(SKIPPED) };
            }
        });
        match child::end(pid) {
            child::End::Exited(0 | SKIPPED) => {}
            end => failed.push((case.name, end)),
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn the_document_has_every_case() {
    let document = include_str!("../../../../docs/errors.md");
    let missing: Vec<String> = cases()
        .map(Case::row)
        .filter(|row| !document.lines().any(|line| line == row))
        .collect();
    assert!(
        missing.is_empty(),
        "rows that docs/errors.md lacks:\n{}",
        missing.join("\n")
    );
    let (provoked, _) = document.split_once("\n## ").expect("the table comes first");
    let rows = provoked.lines().filter(|line| line.starts_with("| ")).skip(1);
    assert_eq!(
        rows.count(),
        cases().count(),
        "docs/errors.md has rows of cases that are gone"
    );
}

#[test]
fn no_two_cases_have_one_name() {
    let names: std::collections::HashSet<&str> = cases().map(|case| case.name).collect();
    assert_eq!(names.len(), cases().count());
}
