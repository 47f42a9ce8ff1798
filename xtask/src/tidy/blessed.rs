//! Lists that are checked in so that a change of theirs shows in review.

use super::entries;
use crate::Outcome;
use crate::artifacts::root;
use std::collections::BTreeSet;

/// What to do with a list that differs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lists {
    Compare,
    Rewrite,
}

/// How the list and what was found must relate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Must {
    /// Found and listed are the same.
    Equal,
    /// Everything found is listed.
    BeListed,
}

/// Compares `found` with the list `file` (relative to the root), or rewrites the list.
/// The comment lines at the head of the file are kept.
pub(crate) fn check(file: &str, found: &BTreeSet<String>, must: Must, lists: Lists) -> Outcome<Vec<String>> {
    let path = root().join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    if lists == Lists::Rewrite {
        let head = text.lines().take_while(|l| l.starts_with('#')).map(str::to_owned);
        let mut lines: Vec<String> = head.chain(found.iter().cloned()).collect();
        lines.push(String::new());
        std::fs::write(&path, lines.join("\n")).map_err(|e| format!("{file}: {e}"))?;
        return Ok(Vec::new());
    }
    Ok(differences(file, &text, found, must))
}

fn differences(file: &str, text: &str, found: &BTreeSet<String>, must: Must) -> Vec<String> {
    let listed: BTreeSet<String> = entries(text).map(str::to_owned).collect();
    let mut findings: Vec<String> = found
        .difference(&listed)
        .map(|new| format!("{file}: + {new}"))
        .collect();
    if must == Must::Equal {
        findings.extend(listed.difference(found).map(|gone| format!("{file}: - {gone}")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reports_what_is_new_and_what_is_gone() {
        let found = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let text = "# head\na\nc\n";
        assert_eq!(differences("f", text, &found, Must::Equal), ["f: + b", "f: - c"]);
        assert_eq!(differences("f", text, &found, Must::BeListed), ["f: + b"]);
    }
}
