//! Where in a file its pages are: a row of cells, each a stretch of the file.

use crate::report::Screen;
use crate::report::sparkline::Charset;

/// Levels between nothing and everything. Only all of a stretch is the last one, only nothing the first.
const BLOCKS: [char; 9] = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 9] = ['.', 'o', 'o', 'o', 'o', 'o', 'o', 'o', 'O'];

/// The cells between brackets, at most as many as there is room for.
pub(super) fn draw(shares: &[f64], screen: &Screen) -> String {
    let levels = match screen.charset {
        Charset::Unicode => BLOCKS,
        Charset::Ascii => ASCII,
    };
    let cells: String = shares.iter().map(|&share| levels[level(share)]).collect();
    format!("[{cells}]")
}

fn level(share: f64) -> usize {
    if share <= 0.0 {
        0
    } else if share >= 1.0 {
        8
    } else {
        // Between the ends there are seven levels.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share below 1 times 7"
        )]
        let step = (share * 7.0) as usize;
        1 + step.min(6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_and_nothing_look_so() {
        assert_eq!([0.0, 0.001, 0.5, 0.999, 1.0].map(level), [0, 1, 4, 7, 8]);
        let text = draw(&[0.0, 1.0], &Screen::plain());
        assert!(text == "[·█]" || text == "[.O]", "{text}");
    }
}
