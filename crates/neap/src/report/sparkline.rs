//! A curve in one line of text.

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Denser as it rises, for terminals without Unicode.
const ASCII: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];

/// Which characters the line is drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    Unicode,
    Ascii,
}

/// A span of time and a height that several lines share, so that they can be compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) end_ns: u64,
    pub(crate) top: u64,
    pub(crate) columns: usize,
    pub(crate) charset: Charset,
}

impl Frame {
    /// Draws `(time, value)` in order of time. A column shows its greatest value, one without a reading the
    /// value before; where there is none it is blank.
    pub(crate) fn draw(&self, values: impl Iterator<Item = (u64, Option<u64>)>) -> String {
        let mut columns: Vec<Option<Option<u64>>> = vec![None; self.columns];
        for (at_ns, value) in values {
            if let Some(column) = columns.get_mut(self.column(at_ns)) {
                *column = Some(column.flatten().max(value));
            }
        }
        let mut last = None;
        let mut line = String::with_capacity(self.columns * 3);
        for column in columns {
            last = column.unwrap_or(last);
            line.push(last.map_or(' ', |value| self.level(value)));
        }
        line
    }

    fn column(&self, at_ns: u64) -> usize {
        let columns = u128::try_from(self.columns).unwrap_or(1);
        let index = u128::from(at_ns) * columns / u128::from(self.end_ns.max(1));
        usize::try_from(index)
            .unwrap_or(usize::MAX)
            .min(self.columns.saturating_sub(1))
    }

    fn level(&self, value: u64) -> char {
        let level = u128::from(value) * 8 / u128::from(self.top.max(1));
        let level = usize::try_from(level).unwrap_or(7).min(7);
        let characters = if self.charset == Charset::Unicode {
            BLOCKS
        } else {
            ASCII
        };
        characters.get(level).copied().unwrap_or('?')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(columns: usize, charset: Charset) -> Frame {
        Frame {
            end_ns: 100,
            top: 80,
            columns,
            charset,
        }
    }

    #[test]
    fn a_rise_and_a_fall() {
        let values = (0..=10).map(|i: u64| (i * 10, Some(if i <= 5 { i * 16 } else { (10 - i) * 16 })));
        assert_eq!(frame(11, Charset::Unicode).draw(values.clone()), "▁▂▄▅▇█▇▅▄▂▁");
        assert_eq!(frame(11, Charset::Ascii).draw(values), "_.-=*#*=-._");
    }

    #[test]
    fn gaps_repeat_and_what_is_not_known_is_blank() {
        let values = [(0, None), (30, Some(80)), (90, Some(0))];
        assert_eq!(frame(10, Charset::Unicode).draw(values.into_iter()), "   ██████▁");
        assert_eq!(frame(0, Charset::Unicode).draw(values.into_iter()), "");
    }

    #[test]
    fn a_peak_shorter_than_a_column_is_seen() {
        let values = (0..100).map(|at| (at, Some(if at == 55 { 80 } else { 0 })));
        assert_eq!(frame(10, Charset::Unicode).draw(values), "▁▁▁▁▁█▁▁▁▁");
    }
}
