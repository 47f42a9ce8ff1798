//! `proc/parse` opens nothing: its modules name no part of std, of a crate or of this one that could.
//!
//! A list of what they may name, so that what nobody thought of is a finding too. Tests inside the files may
//! name anything: they read recorded copies at build time.

use super::Source;
use super::layers::named_from_root;

const FOLDER: &str = "crates/proc/src/parse/";

/// The first parts of paths that lead out of the folder, and what may come after them.
const MAY_NAME: [(&str, &[&str]); 4] = [
    ("std::", &["collections", "fmt"]),
    ("crate::", &["parse"]),
    ("neap_os::", &["pagemap"]),
    ("memchr::", &["memchr", "memchr_iter", "memrchr"]),
];

/// Crates whose names may not occur at all: what asks the system.
const NO_CRATES: [&str; 3] = ["rustix", "libc", "nix"];

/// Types that open, in modules of which other parts may be used; and ways to give a path another name.
const NO_WORDS: [&str; 4] = ["Pagemap", "std as", "neap_os as", "extern crate"];

/// Findings over the parsers.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter(|source| source.path.starts_with(FOLDER) && !source.is_test())
        .flat_map(in_source)
        .collect()
}

fn in_source(source: &Source) -> Vec<String> {
    let code = source.code_before_tests();
    let mut findings = Vec::new();
    let mut find = |line: usize, name: &str| {
        findings.push(format!(
            "{}:{line}: parsers open nothing and may not name {name}",
            source.path
        ));
    };
    for (root, allowed) in MAY_NAME {
        for from in [root.to_owned(), format!("::{root}")] {
            named_from_root(code, &from)
                .into_iter()
                .filter(|(_, name)| !allowed.contains(&name.as_str()))
                .for_each(|(line, name)| find(line, &format!("{root}{name}")));
        }
    }
    for (number, line) in code.lines().enumerate() {
        NO_CRATES
            .iter()
            .chain(&NO_WORDS)
            .filter(|word| has_word(line, word))
            .for_each(|word| find(number + 1, word));
    }
    findings
}

/// Whether `word` stands in `line`, not as a part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let in_a_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(in_a_name) && !line[at + word.len()..].starts_with(in_a_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        check(&[Source::new(path.to_owned(), text.to_owned())])
    }

    #[test]
    fn what_could_open_something_is_found_in_every_form() {
        for text in [
            "use std::fs;",
            "use std::{collections::HashMap, io::Read};",
            "fn f() { ::std::process::exit(0) }",
            "use std as s;",
            "use crate::read::Host;",
            "use neap_os::syscall;",
            "use neap_os::pagemap::{Frame, Pagemap};",
            "use rustix::fs::open;",
            "extern crate libc;",
        ] {
            let found = findings("crates/proc/src/parse/maps.rs", text);
            assert_eq!(
                found.len(),
                text.matches("extern").count() + 1,
                "{text}: {found:?}"
            );
            assert!(
                found[0].starts_with("crates/proc/src/parse/maps.rs:1: "),
                "{found:?}"
            );
        }
    }

    #[test]
    fn the_parsers_of_this_checkout_open_nothing() {
        let sources = super::super::source::all().unwrap();
        let parsers = sources.iter().filter(|source| source.path.starts_with(FOLDER));
        assert!(parsers.count() > 20, "the parsers are elsewhere");
        assert_eq!(check(&sources), [""; 0]);
    }

    #[test]
    fn what_parsers_use_and_what_is_elsewhere_is_fine() {
        let fine = "use std::collections::HashMap;\nuse neap_os::pagemap::Word;\n// std::fs\nenum Name { FileMap }\n\
                    fn f() { super::lines::number(b\"std::fs\"); memchr::memchr(1, b\"\"); }\n\
                    #[cfg(test)]\nmod tests { use std::fs; }\n";
        assert_eq!(findings("crates/proc/src/parse/maps.rs", fine), [""; 0]);
        assert_eq!(
            findings("crates/proc/src/parse/smaps/tests.rs", "use std::fs;"),
            [""; 0]
        );
        assert_eq!(findings("crates/proc/src/read/host.rs", "use std::fs;"), [""; 0]);
    }
}
