//! `lib.rs` of the layered crates lists its modules bottom-up, and no module imports a later one.

use super::Source;

const LAYERED: [&str; 3] = ["crates/os/src/", "crates/heap/src/", "crates/map/src/"];

/// Findings over the layered crates. Tests may reach upwards.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    LAYERED
        .iter()
        .flat_map(|folder| in_crate(folder, sources))
        .collect()
}

fn in_crate(folder: &str, sources: &[Source]) -> Vec<String> {
    let Some(lib) = sources
        .iter()
        .find(|s| s.path.strip_prefix(folder) == Some("lib.rs"))
    else {
        return Vec::new();
    };
    let order = modules(lib.code_before_tests());
    let mut findings = Vec::new();
    for source in sources.iter().filter(|s| !s.is_test()) {
        let Some(inside) = source.path.strip_prefix(folder) else {
            continue;
        };
        let module = inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs");
        let Some(rank) = order.iter().position(|m| m == module) else {
            continue;
        };
        let mut named = named_from_root(source.code_before_tests(), "crate::");
        if !inside.contains('/') {
            named.extend(named_from_root(source.code_before_tests(), "super::"));
        }
        for (line, name) in named {
            if order.iter().position(|m| *m == name).is_some_and(|r| r > rank) {
                findings.push(format!(
                    "{}:{line}: {module} is listed before {name} and may not use it",
                    source.path
                ));
            }
        }
    }
    findings
}

/// Names after `mod` at the start of a line, in order.
fn modules(code: &str) -> Vec<String> {
    let declared = code.lines().filter_map(|line| {
        let line = line
            .strip_prefix("pub(crate) ")
            .or_else(|| line.strip_prefix("pub "))
            .unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    declared.map(str::to_owned).collect()
}

/// Line and first name of every path that starts with `from`, braces included: `crate::{a, b::c}`.
pub(super) fn named_from_root(code: &str, from: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(from) {
        let starts_a_path = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        if !starts_a_path {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let tail = &code[at + from.len()..];
        match tail.strip_prefix('{') {
            Some(group) => found.extend(first_names(group).into_iter().map(|n| (line, n))),
            None => found.push((line, identifier(tail))),
        }
    }
    found
}

/// First names of the paths in a group, up to its closing brace.
fn first_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut fresh = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && (c.is_alphabetic() || c == '_') => {
                names.push(identifier(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::new(path.to_owned(), text.to_owned())
    }

    #[test]
    fn a_module_may_use_what_is_listed_before_it_and_nothing_later() {
        let sources = [
            source(
                "crates/os/src/lib.rs",
                "pub mod low;\nmod middle;\npub mod high;\n",
            ),
            source("crates/os/src/low.rs", "use crate::{high::X, low};\n"),
            source("crates/os/src/middle.rs", "use crate::low::Y; // crate::high\n"),
            source("crates/os/src/high.rs", "fn f() { super::middle::g(); }\n"),
        ];
        assert_eq!(
            check(&sources),
            ["crates/os/src/low.rs:1: low is listed before high and may not use it"]
        );
    }

    #[test]
    fn tests_may_reach_upwards() {
        let sources = [
            source("crates/os/src/lib.rs", "mod low;\nmod high;\n"),
            source(
                "crates/os/src/low.rs",
                "fn f() {}\n#[cfg(test)]\nmod tests {\n use crate::high;\n}\n",
            ),
        ];
        assert!(check(&sources).is_empty());
    }
}
