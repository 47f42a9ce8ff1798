//! What the place that text goes to can show.

use std::env;
use std::os::fd::AsFd;

use anstyle::{AnsiColor, Style};

use super::sparkline::Charset;

/// Columns of a place that has no width, such as a file.
const COLUMNS_DEFAULT: usize = 80;
const COLUMNS_MIN: usize = 40;
const COLUMNS_MAX: usize = 160;

/// Colours, characters, width.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    pub(crate) charset: Charset,
    pub(crate) columns: usize,
    colour: bool,
}

/// What a piece of text is, for its colour.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Title,
    Label,
    Good,
    Bad,
    Dim,
}

impl Screen {
    /// A file or a pipe: no colour.
    pub(crate) fn plain() -> Screen {
        Screen {
            charset: charset(),
            columns: COLUMNS_DEFAULT,
            colour: false,
        }
    }

    /// A terminal if it is one. NO_COLOR (no-color.org) turns colours off.
    pub(crate) fn of(place: impl AsFd) -> Screen {
        let Ok(size) = rustix::termios::tcgetwinsize(place) else {
            return Screen::plain();
        };
        let columns = match usize::from(size.ws_col) {
            0 => COLUMNS_DEFAULT,
            columns => columns.clamp(COLUMNS_MIN, COLUMNS_MAX),
        };
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Screen {
            charset: charset(),
            columns,
            colour: !set("NO_COLOR") && !dumb,
        }
    }

    /// Whether there are colours.
    pub(crate) fn has_colour(&self) -> bool {
        self.colour
    }

    /// `text` in the colour of its role.
    pub(crate) fn paint(&self, role: Role, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let style = match role {
            Role::Title => Style::new().bold(),
            Role::Label => Style::new().fg_color(Some(AnsiColor::Cyan.into())),
            Role::Good => Style::new().bold().fg_color(Some(AnsiColor::Green.into())),
            Role::Bad => Style::new().bold().fg_color(Some(AnsiColor::Red.into())),
            Role::Dim => Style::new().dimmed(),
        };
        format!("{style}{text}{style:#}")
    }
}

/// The first of LC_ALL, LC_CTYPE and LANG that is set decides (locale(7)).
fn charset() -> Charset {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    charset_of(&locale.unwrap_or_default())
}

fn charset_of(locale: &str) -> Charset {
    let locale = locale.to_ascii_lowercase();
    if locale.contains("utf-8") || locale.contains("utf8") {
        Charset::Unicode
    } else {
        Charset::Ascii
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_utf8_locale_gets_blocks() {
        assert_eq!(charset_of("C.UTF-8"), Charset::Unicode);
        assert_eq!(charset_of("de_DE.utf8"), Charset::Unicode);
        assert_eq!(
            [charset_of("C"), charset_of(""), charset_of("de_DE")],
            [Charset::Ascii; 3]
        );
    }

    #[test]
    fn a_plain_screen_has_no_escapes() {
        let plain = Screen {
            charset: Charset::Ascii,
            columns: 80,
            colour: false,
        };
        assert_eq!(plain.paint(Role::Bad, "x"), "x");
        let colour = Screen {
            colour: true,
            ..plain
        };
        assert!(colour.paint(Role::Bad, "x").starts_with('\x1b'));
    }
}
