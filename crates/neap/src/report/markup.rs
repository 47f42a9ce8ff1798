//! Text as HTML: nothing that a program, a file or a kernel says can become markup; and what all pages share.

/// Colours and plain elements, to be put before a page's own style.
pub(super) const THEME: &str = include_str!("theme.css");
/// A page loads nothing, whatever gets into it.
pub(super) const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// Text in a paragraph, a cell or an attribute in double quotes. A line's end becomes `<br>`.
pub(super) fn escape(text: &str) -> String {
    escaped(text, "<br>")
}

/// Text inside `pre`, where lines stay lines.
pub(super) fn escape_lines(text: &str) -> String {
    escaped(text, "\n")
}

fn escaped(text: &str, line_end: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str(line_end),
            c if c.is_control() => escaped.push('?'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(
            escape("<b a=\"x\">&\x1b\n"),
            "&lt;b a=&quot;x&quot;&gt;&amp;?<br>"
        );
        assert_eq!(escape_lines("a\n</pre>"), "a\n&lt;/pre&gt;");
    }
}
