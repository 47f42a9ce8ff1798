//! Colours and characters. Colours are the terminal's own sixteen, so its theme decides how they look.

use neap_proc::model::Kind;
use ratatui::style::{Color, Modifier, Style};

use crate::report::Screen;
use crate::report::sparkline::Charset;

/// What a piece of text is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Title,
    Label,
    Dim,
    Bad,
    /// Heads of columns.
    Head,
    /// The head of the column that sorts.
    Sorted,
    Selected,
    /// Memory in use, in a bar.
    Used,
    /// Cache, in a bar.
    Cache,
}

/// What the terminal can show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    pub(crate) charset: Charset,
    colour: bool,
}

impl Palette {
    pub(crate) fn of(screen: &Screen) -> Palette {
        Palette {
            charset: screen.charset,
            colour: screen.has_colour(),
        }
    }

    #[cfg(test)]
    pub(crate) fn plain(charset: Charset) -> Palette {
        Palette {
            charset,
            colour: false,
        }
    }

    #[cfg(test)]
    pub(crate) fn coloured() -> Palette {
        Palette {
            charset: Charset::Unicode,
            colour: true,
        }
    }

    /// Without colours bold, dim and reversed are left; a terminal that cannot do them ignores them.
    pub(crate) fn style(&self, tone: Tone) -> Style {
        let style = Style::new();
        let modified = match tone {
            Tone::Plain => style,
            Tone::Title | Tone::Bad | Tone::Used => style.add_modifier(Modifier::BOLD),
            Tone::Label => style,
            Tone::Dim | Tone::Cache => style.add_modifier(Modifier::DIM),
            Tone::Head | Tone::Selected => style.add_modifier(Modifier::REVERSED),
            Tone::Sorted => style.add_modifier(Modifier::REVERSED | Modifier::BOLD),
        };
        if !self.colour {
            return modified;
        }
        match tone {
            Tone::Label => style.fg(Color::Cyan),
            Tone::Bad => modified.fg(Color::Red),
            Tone::Used => style.fg(Color::Yellow),
            Tone::Cache => style.fg(Color::Blue),
            _ => modified,
        }
    }

    /// A kind of memory.
    pub(crate) fn kind(&self, kind: Kind) -> Style {
        if !self.colour {
            return Style::new();
        }
        Style::new().fg(match kind {
            Kind::Program => Color::LightBlue,
            Kind::Heap => Color::Green,
            Kind::Neap => Color::LightGreen,
            Kind::Library => Color::Magenta,
            Kind::File => Color::Blue,
            Kind::Anonymous => Color::Yellow,
            Kind::Shared => Color::Cyan,
            Kind::Stack => Color::LightRed,
            Kind::Kernel => Color::DarkGray,
            Kind::Device => Color::White,
        })
    }

    /// The letter that stands for a kind where colours do not.
    pub(crate) const fn letter(kind: Kind) -> char {
        match kind {
            Kind::Program => 'P',
            Kind::Heap => 'H',
            Kind::Neap => 'N',
            Kind::Library => 'L',
            Kind::File => 'F',
            Kind::Anonymous => 'A',
            Kind::Shared => 'S',
            Kind::Stack => 'T',
            Kind::Kernel => 'K',
            Kind::Device => 'D',
        }
    }

    /// The sample of a kind in a legend: a block in its colour, or its letter.
    pub(crate) fn sample(&self, kind: Kind) -> char {
        if self.has_blocks() {
            '█'
        } else {
            Palette::letter(kind)
        }
    }

    /// Whether a kind is told by colour, so that blocks can show heights.
    pub(crate) fn has_blocks(&self) -> bool {
        self.colour && self.charset == Charset::Unicode
    }

    pub(crate) fn is_unicode(&self) -> bool {
        self.charset == Charset::Unicode
    }

    /// What stands for a figure that is still to be read.
    pub(crate) fn not_yet(&self) -> &'static str {
        if self.is_unicode() { "…" } else { "..." }
    }

    /// Text whose few characters beyond ASCII have a stand-in.
    pub(crate) fn text(&self, text: &str) -> String {
        if self.is_unicode() {
            return text.to_owned();
        }
        let mut plain = String::with_capacity(text.len());
        for letter in text.chars() {
            match letter {
                'µ' => plain.push('u'),
                '·' => plain.push(','),
                '…' => plain.push_str("..."),
                letter if letter.is_ascii() => plain.push(letter),
                _ => plain.push('?'),
            }
        }
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_no_style_has_one() {
        let plain = Palette::plain(Charset::Unicode);
        for tone in [Tone::Bad, Tone::Label, Tone::Used, Tone::Selected, Tone::Cache] {
            let style = plain.style(tone);
            assert_eq!((style.fg, style.bg), (None, None));
        }
        for kind in Kind::ALL {
            assert_eq!(plain.kind(kind).fg, None);
        }
        assert!(!plain.has_blocks() && Palette::coloured().has_blocks());
    }

    #[test]
    fn every_kind_has_a_letter_of_its_own() {
        let letters: std::collections::HashSet<char> = Kind::ALL.map(Palette::letter).into();
        assert_eq!(letters.len(), Kind::ALL.len());
    }

    #[test]
    fn an_ascii_terminal_gets_ascii() {
        let ascii = Palette::plain(Charset::Ascii);
        assert_eq!(ascii.text("5 µs · größe…"), "5 us , gr??e...");
    }
}
