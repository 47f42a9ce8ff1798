//! The screen of all processes.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::palette::{Palette, Tone};
use super::{cell, head};
use crate::report::text::printable;
use crate::top::order::{Column, Direction, Sort};
use crate::top::row::Row;
use crate::top::view::{Entry, Notice, Shape, View};
use crate::unit;

/// Columns by how much they are missed when there is no room for all.
const BY_NEED: [Column; 9] = [
    Column::Pid,
    Column::Pss,
    Column::Rss,
    Column::Swap,
    Column::Uss,
    Column::User,
    Column::Cpu,
    Column::Faults,
    Column::Growth,
];

pub(super) fn draw(frame: &mut Frame, view: &mut View, palette: &Palette) {
    let area = frame.area();
    let columns = usize::from(area.width);
    let mut lines = vec![title(view, columns, palette)];
    lines.extend(head::lines(&view.picture.machine, columns, palette));
    let heads = head::LINES + 1;
    let denied = view.has_denied();
    let foot = 1 + u16::from(denied);
    let room = area.height.saturating_sub(heads + 1 + foot);
    view.set_lines(usize::from(room));
    let shown = shown_columns(columns, view.sort);
    lines.push(column_heads(&shown, view.sort, columns, palette));
    if let Some(why) = &view.picture.failed {
        let text = format!("/proc cannot be read: {}", printable(why));
        lines.push(Line::styled(text, palette.style(Tone::Bad)));
    }
    for (row, depth) in view.on_screen() {
        let selected = view.selected == Some(row.identity());
        let depth = if view.shape == Shape::Tree { depth } else { 0 };
        lines.push(
            line(row, depth, &shown, columns, palette).style(palette.style(if selected {
                Tone::Selected
            } else {
                Tone::Plain
            })),
        );
    }
    frame.render_widget(Paragraph::new(lines), area);
    let bottom = area.bottom();
    if denied {
        let text = if view.is_root() {
            "n/a: denied even to root, as a container may do"
        } else {
            "n/a: denied to this user; sudo neap top reads all"
        };
        let place = Rect::new(0, bottom.saturating_sub(2), area.width, 1).intersection(area);
        frame.render_widget(Line::styled(text, palette.style(Tone::Dim)), place);
    }
    let place = Rect::new(0, bottom.saturating_sub(1), area.width, 1).intersection(area);
    frame.render_widget(foot_line(view, columns, palette), place);
}

fn title(view: &View, columns: usize, palette: &Palette) -> Line<'static> {
    let picture = &view.picture;
    let mut parts = vec![format!("{} processes", unit::count(picture.rows.len() as u64))];
    if view.places.len() != picture.rows.len() {
        parts.insert(0, format!("{} of", view.places.len()));
        parts = vec![parts.join(" ")];
    }
    let [pss, ..] = view.sums();
    if pss > 0 {
        parts.push(format!("PSS {}", unit::size(pss)));
    }
    if picture.waiting > 0 {
        parts.push(format!("{} to be read", picture.waiting));
    }
    if picture.hidden > 0 {
        parts.push(format!("{} hidden", picture.hidden));
    }
    if picture.without_memory > 0 {
        parts.push(format!("{} without memory", picture.without_memory));
    }
    let mark = if view.frozen { "FROZEN" } else { "" };
    let mut spans = vec![Span::styled("neap top", palette.style(Tone::Title))];
    let mut used = "neap top".len() + mark.len() + 1;
    for part in parts {
        used += part.len() + 2;
        if used > columns {
            break;
        }
        let gap = if spans.len() == 1 { "  " } else { ", " };
        spans.push(Span::raw(format!("{gap}{part}")));
    }
    let length: usize = spans.iter().map(Span::width).sum();
    spans.push(Span::raw(" ".repeat(columns.saturating_sub(length + mark.len()))));
    spans.push(Span::styled(mark, palette.style(Tone::Bad)));
    Line::from(spans)
}

/// The columns that fit beside a command of some length, in the order of the screen; that which sorts is one.
fn shown_columns(columns: usize, sort: Sort) -> Vec<Column> {
    let mut room = columns.saturating_sub(cell::width(Column::Command));
    let first = [sort.column]
        .into_iter()
        .filter(|column| *column != Column::Command);
    let others = BY_NEED.into_iter().filter(|column| *column != sort.column);
    let mut fitting = Vec::new();
    for column in first.chain(others) {
        match room.checked_sub(cell::width(column)) {
            Some(rest) => room = rest,
            None => break,
        }
        fitting.push(column);
    }
    let all = Column::ALL.into_iter();
    all.filter(|column| *column == Column::Command || fitting.contains(column))
        .collect()
}

/// Columns that are left for the command.
fn command_columns(shown: &[Column], columns: usize) -> usize {
    let others = shown.iter().filter(|column| **column != Column::Command);
    columns.saturating_sub(others.map(|column| cell::width(*column)).sum::<usize>() + 1)
}

fn column_heads(shown: &[Column], sort: Sort, columns: usize, palette: &Palette) -> Line<'static> {
    let mark = match (sort.direction, palette.is_unicode()) {
        (Direction::Usual, true) => "▼",
        (Direction::Reversed, true) => "▲",
        (Direction::Usual, false) => "*",
        (Direction::Reversed, false) => "^",
    };
    let spans = shown.iter().map(|column| {
        let sorts = *column == sort.column;
        let text = format!("{}{}", column.head(), if sorts { mark } else { "" });
        let tone = if sorts { Tone::Sorted } else { Tone::Head };
        let width = match column {
            Column::Command => command_columns(shown, columns) + 1,
            column => cell::width(*column),
        };
        Span::styled(aligned(&text, *column, width), palette.style(tone))
    });
    Line::from_iter(spans)
}

/// Words at the left after a blank, figures at the right.
fn aligned(text: &str, column: Column, width: usize) -> String {
    let inner = width.saturating_sub(1);
    match column {
        Column::User | Column::Command => format!(" {text:inner$.inner$}"),
        _ => format!(" {text:>inner$.inner$}"),
    }
}

fn line(row: &Row, depth: usize, shown: &[Column], columns: usize, palette: &Palette) -> Line<'static> {
    let room = command_columns(shown, columns);
    let spans = shown.iter().map(|column| {
        if *column == Column::Command {
            let command = palette.text(&printable(&row.command));
            // The tree never takes more than half of the room from the names.
            let indent = (depth * 2).min(room / 2);
            let text: String = format!("{:indent$}{command}", "").chars().take(room).collect();
            return Span::raw(aligned(&text, *column, room + 1));
        }
        let text = cell::text(row, *column, palette);
        let missing = text == "n/a" || text == palette.not_yet();
        let tone = if missing { Tone::Dim } else { Tone::Plain };
        let text = palette.text(&printable(&text));
        Span::styled(aligned(&text, *column, cell::width(*column)), palette.style(tone))
    });
    Line::from_iter(spans)
}

fn foot_line(view: &View, columns: usize, palette: &Palette) -> Line<'static> {
    if let Some(entry) = &view.entry {
        let (word, text) = match entry {
            Entry::Text => ("filter", &view.filter.text),
            Entry::User => ("user", &view.filter.user),
        };
        return Line::from(vec![
            Span::styled(format!("{word}: "), palette.style(Tone::Label)),
            Span::raw(palette.text(&printable(text))),
            Span::styled(" ", palette.style(Tone::Selected)),
            Span::styled("  Enter keeps it, Esc drops it", palette.style(Tone::Dim)),
        ]);
    }
    if let Some(line) = notice(view, palette) {
        return line;
    }
    let mut texts = Vec::new();
    for (word, text) in [("filter", &view.filter.text), ("user", &view.filter.user)] {
        if !text.is_empty() {
            texts.push(format!("{word}: {} (Esc drops it)", printable(text)));
        }
    }
    let keys = [
        "? help",
        "q quit",
        "/ filter",
        "p u r s g f c sort",
        "Enter open",
        "space freeze",
        "t give back",
        "e tree",
    ];
    texts.extend(keys.map(str::to_owned));
    hints(&texts, columns, palette)
}

/// What is asked, going on, or what a key came to.
pub(super) fn notice(view: &View, palette: &Palette) -> Option<Line<'static>> {
    let said = |text: String, tone| Some(Line::styled(palette.text(&text), palette.style(tone)));
    if let Some(pid) = view.asking {
        let text = format!("{pid} is another user's. Shall it give back what is free in its heap? y or n");
        return said(text, Tone::Title);
    }
    match &view.notice {
        Some(Notice::Done(text)) => return said(printable(text), Tone::Label),
        Some(Notice::Failed(text)) => return said(printable(text), Tone::Bad),
        None => {}
    }
    let (pid, what) = match (view.giving, view.opening) {
        (Some(pid), _) => (pid, "gives back"),
        (None, Some(pid)) => (pid, "is being read"),
        (None, None) => return None,
    };
    said(format!("process {pid} {what} {}", palette.not_yet()), Tone::Label)
}

/// As many as fit.
pub(super) fn hints(texts: &[String], columns: usize, palette: &Palette) -> Line<'static> {
    let mut line = String::new();
    for text in texts {
        if !line.is_empty() && line.len() + text.len() + 3 > columns {
            break;
        }
        if !line.is_empty() {
            line.push_str("   ");
        }
        line.push_str(text);
    }
    Line::styled(palette.text(&line), palette.style(Tone::Dim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_the_terminal_and_what_sorts_is_there() {
        let sort = |column| Sort {
            column,
            direction: Direction::Usual,
        };
        let heads = |columns, by| -> Vec<&str> {
            let shown = shown_columns(columns, sort(by));
            shown.into_iter().map(Column::head).collect()
        };
        assert_eq!(
            heads(60, Column::Pss),
            ["PID", "PSS", "USS", "RSS", "SWAP", "COMMAND"]
        );
        assert_eq!(
            heads(60, Column::Faults),
            ["PID", "PSS", "RSS", "SWAP", "FAULT/s", "COMMAND"]
        );
        assert_eq!(heads(80, Column::Pss).len(), 9, "all but growth");
        assert_eq!(heads(120, Column::Pss).len(), 10);
        assert_eq!(heads(20, Column::Pss), ["COMMAND"]);
        for columns in 16..200 {
            let shown = shown_columns(columns, sort(Column::Growth));
            let sum: usize = shown.iter().map(|column| cell::width(*column)).sum();
            assert!(sum <= columns, "{columns}");
        }
    }
}
