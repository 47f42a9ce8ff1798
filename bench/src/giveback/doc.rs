//! The figures inside a document: text between two marks is replaced, the rest stays.

/// `document` with `text` between `<!-- NAME: begin -->` and `<!-- NAME: end -->`, each on a line of
/// its own. An error if the marks are not there once, in this order.
pub(crate) fn with_region(document: &str, name: &str, text: &str) -> Result<String, String> {
    let (begin, end) = (
        format!("<!-- {name}: begin -->\n"),
        format!("<!-- {name}: end -->"),
    );
    let wrong = || format!("the document has no region {name}, or more than one");
    let (before, rest) = document.split_once(&begin).ok_or_else(wrong)?;
    let (_, after) = rest.split_once(&end).ok_or_else(wrong)?;
    if before.contains(&end) || after.contains(&begin) || after.contains(&end) {
        return Err(wrong());
    }
    Ok(format!("{before}{begin}\n{}\n\n{end}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::with_region;

    #[test]
    fn only_the_region_changes_and_twice_is_as_once() {
        let document = "# A\n\n<!-- t: begin -->\nold\n<!-- t: end -->\n\nend\n";
        let once = with_region(document, "t", "\nnew\n").unwrap();
        assert_eq!(
            once,
            "# A\n\n<!-- t: begin -->\n\nnew\n\n<!-- t: end -->\n\nend\n"
        );
        assert_eq!(with_region(&once, "t", "new").unwrap(), once);
    }

    #[test]
    fn a_document_without_the_marks_is_left_alone() {
        assert!(with_region("nothing", "t", "new").is_err());
        assert!(with_region("<!-- t: end -->\n<!-- t: begin -->\n", "t", "new").is_err());
        let twice = "<!-- t: begin -->\n<!-- t: end -->\n".repeat(2);
        assert!(with_region(&twice, "t", "new").is_err());
    }
}
