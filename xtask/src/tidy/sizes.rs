//! Files of at most 600 lines, functions of at most 70, but for those listed with a reason.

use super::{Source, entries};
use crate::Outcome;
use crate::artifacts::root;

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;
const EXCEPTIONS: &str = "xtask/long.txt";

/// Findings over every source outside tests, and exceptions that are no longer needed.
pub(crate) fn check(sources: &[Source]) -> Outcome<Vec<String>> {
    let text = std::fs::read_to_string(root().join(EXCEPTIONS)).map_err(|e| format!("{EXCEPTIONS}: {e}"))?;
    let mut findings = Vec::new();
    let mut excepted = Vec::new();
    for entry in entries(&text) {
        match entry.split_once(": ") {
            Some((what, reason)) if !reason.trim().is_empty() => excepted.push(what),
            _ => findings.push(format!("{EXCEPTIONS}: {entry}: gives no reason")),
        }
    }
    let long: Vec<(String, usize)> = sources
        .iter()
        .filter(|s| !s.is_test())
        .flat_map(long_things)
        .collect();
    for (what, lines) in long.iter().filter(|(what, _)| !excepted.contains(&what.as_str())) {
        findings.push(format!(
            "{what}: {lines} lines; split it, or give a reason in {EXCEPTIONS}"
        ));
    }
    for what in excepted
        .iter()
        .filter(|e| !long.iter().any(|(what, _)| what == *e))
    {
        findings.push(format!("{EXCEPTIONS}: {what} is not long any more"));
    }
    Ok(findings)
}

/// `path` or `path::function` with its lines, where too many.
fn long_things(source: &Source) -> Vec<(String, usize)> {
    let mut long = Vec::new();
    let lines = source.text.lines().count();
    if lines > FILE_LINES {
        long.push((source.path.clone(), lines));
    }
    let functions = functions(&source.code)
        .into_iter()
        .filter(|(_, n)| *n > FUNCTION_LINES);
    long.extend(functions.map(|(name, n)| (format!("{}::{name}", source.path), n)));
    long
}

/// Name and lines of every function with a body of its own lines. Relies on rustfmt: the closing
/// brace stands under the first letter of the signature.
fn functions(code: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let signature_end = lines[start..]
            .iter()
            .position(|l| l.contains('{') || l.trim_end().ends_with(';'));
        let Some(open) = signature_end.map(|n| start + n) else {
            continue;
        };
        if !lines[open].trim_end().ends_with('{') {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let closing = format!("{}}}", &line[..indent]);
        if let Some(length) = lines[open..].iter().position(|l| l.trim_end() == closing) {
            found.push((name, open + length - start + 1));
        }
    }
    found
}

fn function_name(line: &str) -> Option<String> {
    let (before, after) = line.split_once("fn ")?;
    let qualifiers = ["pub", "const", "unsafe", "async", "extern"];
    let qualified = |w: &str| qualifiers.contains(&w) || w.starts_with("pub(") || w.starts_with('"');
    if !before.split_whitespace().all(qualified) {
        return None;
    }
    let name: String = after
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_counts_from_its_signature_to_its_closing_brace() {
        let code = "trait T {\n    fn declared(&self);\n    pub(crate) const fn held(\n        &self,\n    ) -> u8 {\n        1\n    }\n}\nfn short() {}\n";
        assert_eq!(functions(code), [("held".to_owned(), 5)]);
    }
}
