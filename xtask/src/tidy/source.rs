//! The Rust sources of the workspace, and their text without comments and literals.

use crate::Outcome;
use crate::artifacts::root;
use std::fs;
use std::path::{Path, PathBuf};

/// One file.
pub(crate) struct Source {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// `text` with every comment, string and character literal blanked; lines stay where they are.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: String, text: String) -> Source {
        let code = code_only(&text);
        Source { path, text, code }
    }

    /// Whether this is a test: below `tests/`, or a file `tests.rs`.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// The code before an inline `#[cfg(test)] mod`.
    pub(crate) fn code_before_tests(&self) -> &str {
        match self.code.find("#[cfg(test)]\nmod ") {
            Some(end) => &self.code[..end],
            None => &self.code,
        }
    }
}

/// Every Rust file of the workspace, sorted.
pub(crate) fn all() -> Outcome<Vec<Source>> {
    let mut files = Vec::new();
    for folder in ["crates", "bench", "fuzz", "xtask"] {
        let folder = root().join(folder);
        if folder.is_dir() {
            find(&folder, &mut files)?;
        }
    }
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            let path = file
                .strip_prefix(root())
                .unwrap_or(&file)
                .to_string_lossy()
                .into_owned();
            Ok(Source::new(path, text))
        })
        .collect()
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Outcome {
    for entry in fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.is_dir() && path.file_name().is_some_and(|n| n != "target") {
            find(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Blanks comments and literals with spaces, keeping line ends.
pub(crate) fn code_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = literal_or_comment(rest, out.chars().next_back());
        if length == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (blank, tail) = rest.split_at(length);
            out.extend(blank.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = tail;
        }
    }
    out
}

/// Bytes of the comment or literal that `rest` starts with; 0 when it starts with neither.
fn literal_or_comment(rest: &str, before: Option<char>) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if rest.starts_with('"') {
        return quoted(rest, 1, '"');
    }
    let in_a_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_a_word && rest.starts_with('r') {
        let hashes = rest[1..].bytes().take_while(|&b| b == b'#').count();
        if rest[1 + hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = 2 + hashes;
            return rest[body..]
                .find(&end)
                .map_or(rest.len(), |at| body + at + end.len());
        }
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    0
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let bytes = rest.as_bytes();
    let mut at = 0;
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" if depth == 1 => return at + 2,
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

fn quoted(rest: &str, start: usize, end: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest[start..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == end => return start + at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// A character literal, as against a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => quoted(rest, 1, '\''),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::code_only;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let text = "a /* b /* c */ d */ e // f\n\"x\\\"y\" 'z' '\\'' &'a b r#\"q\"# for\n";
        let words: Vec<&str> = code_only(text)
            .split_whitespace()
            .map(|w| &*w.to_owned().leak())
            .collect();
        assert_eq!(words, ["a", "e", "&'a", "b", "for"]);
        assert_eq!(code_only(text).lines().count(), 2);
        assert_eq!(code_only(text).len(), text.len());
    }
}
