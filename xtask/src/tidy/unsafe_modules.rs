//! The modules that may hold unsafe code: the list is checked in, so growth is a reviewed diff.

use super::Source;
use super::blessed::{self, Lists, Must};
use crate::Outcome;
use std::collections::BTreeSet;

const LIST: &str = "xtask/unsafe-modules.txt";

/// Compares the files that allow unsafe code with the list.
pub(crate) fn check(sources: &[Source], lists: Lists) -> Outcome<Vec<String>> {
    let found: BTreeSet<String> = sources
        .iter()
        .filter(|s| allows_unsafe(s))
        .map(|s| s.path.clone())
        .collect();
    blessed::check(LIST, &found, Must::Equal, lists)
}

fn allows_unsafe(source: &Source) -> bool {
    let dense: String = source.code.chars().filter(|c| !c.is_whitespace()).collect();
    ["allow(", "expect("].iter().any(|opener| {
        dense.match_indices(opener).any(|(at, _)| {
            let list = &dense[at + opener.len()..];
            list[..list.find(')').unwrap_or(list.len())]
                .split(',')
                .any(|lint| lint == "unsafe_code")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_counts_wherever_it_stands_in_the_list_and_not_in_a_comment() {
        let allows = |text: &str| allows_unsafe(&Source::new("a.rs".to_owned(), text.to_owned()));
        assert!(allows("#![allow(dead_code, unsafe_code)]"));
        assert!(allows("#[expect(\n    unsafe_code\n)]"));
        assert!(!allows("// allow(unsafe_code)\n#![deny(unsafe_code)]"));
    }
}
