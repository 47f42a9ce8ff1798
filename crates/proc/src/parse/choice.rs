//! Settings with one of several words in brackets: `always [madvise] never`.

use super::lines;

/// The words and which of them holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// All that may be set, in the kernel's order.
    pub offered: Vec<String>,
    /// The one in brackets.
    pub chosen: String,
}

impl Choice {
    /// `None` unless exactly one word is in brackets.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Choice> {
        let (mut offered, mut chosen) = (Vec::new(), None);
        for word in lines::words(bytes) {
            let inner = word.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
            let text = String::from_utf8_lossy(inner.unwrap_or(word)).into_owned();
            if inner.is_some() && chosen.replace(text.clone()).is_some() {
                return None;
            }
            offered.push(text);
        }
        chosen.map(|chosen| Choice { offered, chosen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_in_brackets_is_chosen() {
        let choice = Choice::parse(b"always defer [madvise] never\n").unwrap();
        assert_eq!((choice.chosen.as_str(), choice.offered.len()), ("madvise", 4));
        assert_eq!(Choice::parse(b"always never"), None);
        assert_eq!(Choice::parse(b"[a] [b]"), None);
    }
}
