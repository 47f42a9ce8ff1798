//! Words that may not stand in the sources: unfinished work, and reasons that are none.

use super::Source;

/// In code: what may not be shipped.
const UNFINISHED: [&str; 4] = ["todo!", "unimplemented!", "dbg!", "unreachable_unchecked("];
/// In any text: notes to oneself.
const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
/// In a SAFETY comment: phrases that name no fact.
const EMPTY_REASONS: [&str; 8] = [
    "valid arguments",
    "safe because caller",
    "safe because the caller",
    "caller is responsible",
    "this is safe",
    "trust me",
    "should be fine",
    "obviously",
];

/// Findings over every source outside tests.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter(|s| !s.path.starts_with("xtask/src/tidy/"))
        .flat_map(in_source)
        .collect()
}

fn in_source(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    let mut in_reason = false;
    for (number, (line, code)) in source.text.lines().zip(source.code.lines()).enumerate() {
        let mut find = |word: &str| findings.push(format!("{}:{}: {word}", source.path, number + 1));
        UNFINISHED
            .iter()
            .filter(|w| !source.is_test() && code.contains(**w))
            .for_each(|w| find(w));
        NOTES
            .iter()
            .filter(|w| line.split(|c: char| !c.is_alphanumeric()).any(|t| t == **w))
            .for_each(|w| find(w));
        let comment = line.trim_start().starts_with("//");
        in_reason = comment && (in_reason || line.contains("SAFETY") || line.contains("# Safety"));
        let lower = line.to_lowercase();
        EMPTY_REASONS
            .iter()
            .filter(|w| in_reason && lower.contains(**w))
            .for_each(|w| find(w));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_and_empty_reasons_are_found_with_their_lines() {
        let text = format!(
            "// {}: later\n// SAFETY: p has\n// valid arguments.\nfn f() {{ {}() }}\n",
            NOTES[0], UNFINISHED[0]
        );
        let source = Source::new("crates/os/src/a.rs".to_owned(), text);
        let at = |n: usize, w: &str| format!("crates/os/src/a.rs:{n}: {w}");
        assert_eq!(
            in_source(&source),
            [at(1, NOTES[0]), at(3, "valid arguments"), at(4, UNFINISHED[0])]
        );
    }
}
