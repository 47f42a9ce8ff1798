//! Pages as letters: one for each state, runs counted, `12.4#` for twelve pages that are not there and four
//! that are.
//!
//! | letter | the page |
//! |---|---|
//! | `_` | is not mapped |
//! | `.` | is mapped and not there |
//! | `#` | is there: anonymous, of this process |
//! | `f` | is there: of a file or shared |
//! | `s` | is in swap |
//! | `G` | is a guard (Linux 6.13; shown in pagemap since 6.14) |

const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const FILE: u64 = 1 << 61;
const GUARD: u64 = 1 << 58;

/// The letters and what they mean, for a legend.
pub(crate) const MEANINGS: &[(char, &str)] = &[
    ('_', "not mapped"),
    ('.', "not there"),
    ('#', "there, anonymous"),
    ('f', "there, of a file or shared"),
    ('s', "in swap"),
    ('G', "a guard"),
];

/// A page: its word of pagemap, `None` where nothing is mapped.
pub(crate) type Page = Option<u64>;

/// The letter of a page.
const fn letter(page: Page) -> char {
    let Some(word) = page else { return '_' };
    if word & GUARD != 0 {
        'G'
    } else if word & PRESENT != 0 {
        if word & FILE != 0 { 'f' } else { '#' }
    } else if word & SWAPPED != 0 {
        's'
    } else {
        '.'
    }
}

/// The letters of pages (Documentation/admin-guide/mm/pagemap.rst), runs counted.
pub(crate) fn of_pages(pages: impl Iterator<Item = Page>) -> String {
    let mut text = String::new();
    let mut run: Option<(char, u64)> = None;
    let mut end = |run: Option<(char, u64)>| {
        if let Some((letter, count)) = run {
            text.push_str(&count.to_string());
            text.push(letter);
        }
    };
    for letter in pages.map(letter) {
        run = match run {
            Some((same, count)) if same == letter => Some((same, count + 1)),
            other => {
                end(other);
                Some((letter, 1))
            }
        };
    }
    end(run);
    text
}

/// The runs of a text: letter and pages.
pub(crate) fn runs(text: &str) -> impl Iterator<Item = (char, u64)> + '_ {
    text.split_inclusive(|c: char| !c.is_ascii_digit())
        .filter_map(|run| {
            let letter = run.chars().next_back()?;
            Some((letter, run[..run.len() - letter.len_utf8()].parse().ok()?))
        })
}

/// Pages that are there.
pub(crate) fn present(text: &str) -> u64 {
    runs(text)
        .filter(|(letter, _)| matches!(letter, '#' | 'f'))
        .map(|(_, pages)| pages)
        .sum()
}

/// At most `columns` cells, each of the same number of pages: the letters, with `+` for a cell of pages of
/// which only some are there. Answers with the pages of a cell, too.
pub(crate) fn squeezed(text: &str, columns: u64) -> (String, u64) {
    let total: u64 = runs(text).map(|(_, pages)| pages).sum();
    let per_cell = total.div_ceil(columns.max(1)).max(1);
    let mut cells = String::new();
    let mut current: Option<char> = None;
    let mut left = per_cell;
    for (letter, mut pages) in runs(text) {
        while pages > 0 {
            let taken = pages.min(left);
            current = Some(match current {
                None => letter,
                Some(same) if same == letter => same,
                Some(_) => '+',
            });
            pages -= taken;
            left -= taken;
            if left == 0 {
                cells.extend(current.take());
                left = per_cell;
            }
        }
    }
    cells.extend(current);
    (cells, per_cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_there_and_back() {
        let words = [0, 0, PRESENT, PRESENT | FILE, SWAPPED, GUARD, GUARD];
        let text = of_pages(words.into_iter().map(Some).chain([None]));
        assert_eq!(text, "2.1#1f1s2G1_");
        assert_eq!(present(&text), 2);
        assert_eq!(runs(&text).map(|(_, pages)| pages).sum::<u64>(), 8);
        assert_eq!(of_pages(std::iter::empty()), "");
    }

    #[test]
    fn cells_hold_equal_numbers_of_pages() {
        assert_eq!(squeezed("256#768.", 64), ("#".repeat(16) + &".".repeat(48), 16));
        assert_eq!(squeezed("3#1.4#", 2), ("+#".to_owned(), 4));
        assert_eq!(squeezed("3#", 64), ("###".to_owned(), 1));
    }
}
