//! The keys, over whatever is shown.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::symbols::border;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph};

use super::palette::{Palette, Tone};

const LINES: [&str; 17] = [
    "p PSS   shared pages divided by who shares them",
    "u USS   what would be free if it ended",
    "r RSS   all it has in memory   s swap",
    "g growth of RSS   f page faults   c CPU",
    "i pid   o user   n command",
    "< >     the column before or after   v reverse",
    "        sorting twice by a column reverses, too",
    "/       filter by command   U by user",
    "e       tree or flat",
    "arrows, PgUp, PgDn, Home, End: select",
    "Enter   watch one process   Esc back",
    "t       give back what is free (libneap.so)",
    "space   freeze, and go on",
    "Ctrl-L  read and draw anew   Ctrl-Z stop",
    "q       quit",
    "n/a     the kernel keeps it from this user, or",
    "        has no such figure; never 0",
];

/// Blanks and the border at both sides.
const MARGIN: usize = 4;

pub(super) fn draw(frame: &mut Frame, palette: &Palette) {
    let area = frame.area();
    let widest = LINES.iter().map(|line| line.len()).max().unwrap_or(0) + MARGIN;
    let width = u16::try_from(widest).unwrap_or(u16::MAX).min(area.width);
    let height = u16::try_from(LINES.len() + 2)
        .unwrap_or(u16::MAX)
        .min(area.height);
    let place = Rect::new(
        (area.width - width) / 2,
        (area.height - height) / 2,
        width,
        height,
    );
    let set = if palette.is_unicode() {
        border::PLAIN
    } else {
        ASCII
    };
    let block = Block::bordered().border_set(set).title(Line::styled(
        " Keys (any key closes) ",
        palette.style(Tone::Title),
    ));
    let lines: Vec<Line> = LINES.iter().map(|line| Line::raw(format!(" {line}"))).collect();
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

const ASCII: border::Set = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};
