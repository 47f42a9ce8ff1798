//! What a test says that cannot be made here.

use std::fmt::Display;
use std::io::Write;

/// A program that the test needs is not there: a skip, or a failure where every test is asked for.
pub(crate) fn missing(program: &str) {
    let why = format!("{program} is not installed");
    assert!(
        std::env::var_os("NEAP_TEST_ALL").is_none_or(|all| all != "1"),
        "{why}"
    );
    skip(why);
}

/// Says that this test cannot be made here, also in the list that `cargo xtask test` prints. Not by
/// `eprintln!` alone: the test runner keeps that to itself.
pub(crate) fn skip(why: impl Display) {
    let thread = std::thread::current();
    let line = format!("neap-proc::{}: {why}\n", thread.name().unwrap_or("a test"));
    let _ = std::io::stderr().write_all(format!("skipped: {line}").as_bytes());
    if let Some(list) = std::env::var_os("NEAP_TEST_SKIPPED") {
        let list = std::fs::OpenOptions::new().create(true).append(true).open(list);
        let _ = list.and_then(|mut list| list.write_all(line.as_bytes()));
    }
}
