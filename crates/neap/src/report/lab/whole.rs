//! One experiment in full, as text: what is asked, what was seen at each look, what was checked, why it is
//! so.

use std::fmt::Write as _;

use super::figures::{self, moved};
use super::strip::{Cell, Change, Strip, letter};
use super::{INDENT, below, role};
use crate::lab::cells;
use crate::lab::experiment::Experiment;
use crate::lab::record::{Check, Circumstances, Event, Run, Trial};
use crate::lab::sight::{Sight, Watched};
use crate::lab::space::Kind;
use crate::report::screen::{Role, Screen};
use crate::report::sparkline::Charset;
use crate::report::text::{printable, wrap};
use crate::unit;

/// Cells of a picture, where the screen is wide enough.
const CELLS: usize = 64;
/// Lines of maps that came or went which are shown of one look; the record has more.
const CHANGES_SHOWN: usize = 16;

/// One experiment in full.
pub(crate) fn whole(
    experiment: &Experiment,
    trial: &Trial,
    circumstances: &Circumstances,
    screen: &Screen,
) -> String {
    let mut text = String::new();
    let title = format!("{}  ({})", experiment.name, experiment.chapter.heading());
    let _ = writeln!(text, "{}\n", screen.paint(Role::Title, &title));
    let mut since = String::new();
    if let Some((major, minor)) = experiment.since {
        since = format!(" (since Linux {major}.{minor})");
    }
    paragraph(&mut text, "question", experiment.question, screen);
    paragraph(&mut text, "method", experiment.method, screen);
    paragraph(
        &mut text,
        "expected",
        &format!("{}{since}", experiment.expectation),
        screen,
    );
    // One that cannot run here may have ended before there was anything to see.
    for run in trial.runs.iter().filter(|run| !run.events.is_empty()) {
        let heading = match trial.runs.len() {
            1 => "What was seen".to_owned(),
            _ => format!("What was seen under {}", run.malloc),
        };
        let _ = writeln!(text, "\n{}", screen.paint(Role::Title, &heading));
        seen(&mut text, run, circumstances.page_bytes, screen);
    }
    if trial.runs.len() > 1 {
        side_by_side(&mut text, &trial.runs, screen);
    }
    let _ = writeln!(text, "\n{}", screen.paint(Role::Title, "Why"));
    paragraph(&mut text, "", experiment.explanation, screen);
    paragraph(&mut text, "not shown", experiment.cannot_show, screen);
    paragraph(&mut text, "source", experiment.source, screen);
    for (language, code) in [("C", experiment.c), ("Rust", experiment.rust)] {
        let _ = writeln!(
            text,
            "\n{}",
            screen.paint(Role::Title, &format!("The same by hand in {language}"))
        );
        for line in code.lines() {
            let _ = writeln!(text, "{INDENT}{line}");
        }
    }
    let _ = writeln!(
        text,
        "\n{}",
        screen.paint(role(&trial.verdict), trial.verdict.word())
    );
    below(&mut text, &trial.verdict, screen);
    text
}

fn paragraph(text: &mut String, label: &str, words: &str, screen: &Screen) {
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines = wrap(&words, screen.columns.saturating_sub(14).max(40));
    for (index, line) in lines.iter().enumerate() {
        let label = if index == 0 { label } else { "" };
        let label = screen.paint(Role::Label, &format!("{label:12}"));
        let _ = writeln!(text, "{label}{}", line.trim_start());
    }
}

fn seen(text: &mut String, run: &Run, page_bytes: u64, screen: &Screen) {
    let strip = Strip::of(run.sights(), screen.columns.saturating_sub(16));
    let mut before: Option<&Sight> = None;
    for event in &run.events {
        match event {
            Event::Look(sight) => {
                look(text, sight, before, page_bytes, screen);
                space(text, &strip.cells(sight, before), screen);
                for watched in &sight.watched {
                    picture(text, watched, screen);
                }
                before = Some(sight);
            }
            Event::Check(check) => verdict_of(text, check, screen),
            Event::Figure { what, found } => {
                let _ = writeln!(text, "{INDENT}     {what}: {}", printable(found));
            }
            Event::Changed { what, from, to } => {
                let line = format!("{what} was set from {from} to {to}, and is restored");
                let _ = writeln!(text, "{INDENT}{}", screen.paint(Role::Bad, &line));
            }
        }
    }
    legend(text, run, screen);
}

fn verdict_of(text: &mut String, check: &Check, screen: &Screen) {
    let mark = if check.holds {
        screen.paint(Role::Good, "ok ")
    } else {
        screen.paint(Role::Bad, "NOT")
    };
    let found = printable(&check.found);
    let _ = match check.expected == check.found {
        true => writeln!(text, "{INDENT}{mark}  {}: {found}", check.what),
        false => writeln!(
            text,
            "{INDENT}{mark}  {}: {found} (expected {})",
            check.what,
            printable(&check.expected)
        ),
    };
}

/// A look: what moved, the lines of maps that came and went.
fn look(text: &mut String, sight: &Sight, before: Option<&Sight>, page_bytes: u64, screen: &Screen) {
    let _ = writeln!(
        text,
        "{INDENT}{}",
        screen.paint(Role::Label, &printable(&sight.label))
    );
    let moved = moved(sight, before, page_bytes);
    if !moved.is_empty() {
        // A figure stays in one line.
        let moved = moved.join(",\n").replace(' ', "\u{a0}").replace('\n', " ");
        for line in wrap(&moved, screen.columns.saturating_sub(6)) {
            let _ = writeln!(text, "{INDENT}    {}", line.trim_start().replace('\u{a0}', " "));
        }
    }
    for line in sight.changes.iter().take(CHANGES_SHOWN) {
        let role = if line.starts_with('+') {
            Role::Good
        } else {
            Role::Bad
        };
        let _ = writeln!(text, "{INDENT}    {}", screen.paint(role, &printable(line)));
    }
    let more = sight.changes.len().saturating_sub(CHANGES_SHOWN) as u64 + sight.changes_left_out;
    if more > 0 {
        let _ = writeln!(
            text,
            "{INDENT}    and {} more lines of maps came or went",
            unit::count(more)
        );
    }
}

/// The whole address space in a line, and below it what has changed.
fn space(text: &mut String, cells: &[Cell<'_>], screen: &Screen) {
    if cells.is_empty() {
        return;
    }
    let mut line = String::new();
    let mut marks = String::new();
    for cell in cells {
        let kind = cell.region.map(|region| region.kind);
        let drawn: String = std::iter::repeat_n(cell_of(kind, screen), cell.columns).collect();
        let role = match (cell.change, kind) {
            (Change::Came, _) => Role::Good,
            (Change::Went | Change::Other, _) => Role::Bad,
            (Change::Same, None | Some(Kind::Reserved)) => Role::Dim,
            (Change::Same, Some(_)) => Role::Label,
        };
        line.push_str(&screen.paint(role, &drawn));
        marks.extend(std::iter::repeat_n(cell.change.mark(), cell.columns));
    }
    let _ = writeln!(text, "{INDENT}    space   {line}");
    if !marks.trim().is_empty() {
        let _ = writeln!(text, "{INDENT}            {}", marks.trim_end());
    }
}

fn cell_of(kind: Option<Kind>, screen: &Screen) -> char {
    match (kind, screen.charset) {
        (Some(kind), _) => letter(kind),
        (None, Charset::Unicode) => '\u{b7}',
        (None, Charset::Ascii) => '.',
    }
}

/// What the letters of the address space and of pages mean: those that occur.
fn legend(text: &mut String, run: &Run, screen: &Screen) {
    let has = |kind| {
        run.sights()
            .any(|sight| sight.space.iter().any(|region| region.kind == kind))
    };
    let mut words: Vec<String> = Kind::ALL
        .iter()
        .filter(|kind| has(**kind))
        .map(|kind| format!("{} {}", letter(*kind), kind.word()))
        .collect();
    let mut put = |label: &str, words: &str| {
        for (index, line) in wrap(words, screen.columns.saturating_sub(14)).iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            let line = format!("{label:8}{}", line.trim_start());
            let _ = writeln!(text, "{INDENT}    {}", screen.paint(Role::Dim, &line));
        }
    };
    if !words.is_empty() {
        words.push(format!("{} nothing", cell_of(None, screen)));
        let all = words.join(", ");
        put(
            "space:",
            &format!(
                "{all}; + came, - went, ~ is otherwise; lowest address first, a hole and a page alike \
                 drawn by the logarithm of their length"
            ),
        );
    }
    let pages: String = run
        .sights()
        .flat_map(|sight| &sight.watched)
        .filter_map(|watched| watched.cells.as_deref())
        .collect();
    let known: Vec<String> = cells::MEANINGS
        .iter()
        .filter(|(letter, _)| pages.contains(*letter))
        .map(|(letter, meaning)| format!("{letter} {meaning}"))
        .collect();
    if !known.is_empty() {
        put("pages:", &format!("{}; + a mixture", known.join(", ")));
    }
}

/// The pages of a watched span: a cell for each, or for each so many.
fn picture(text: &mut String, watched: &Watched, screen: &Screen) {
    let room = CELLS.min(screen.columns.saturating_sub(16));
    let drawn = match &watched.cells {
        Some(runs) => {
            let (drawn, pages) = cells::squeezed(runs, room as u64);
            let each = if pages == 1 {
                "a page each".to_owned()
            } else {
                format!("{pages} pages each")
            };
            format!("[{drawn}] {each}")
        }
        None => "n/a (pagemap cannot be read)".to_owned(),
    };
    let _ = writeln!(
        text,
        "{INDENT}    {:#x}  {}  {}",
        watched.base,
        unit::size(watched.len),
        watched.label
    );
    let _ = writeln!(text, "{INDENT}    {drawn}");
    if !watched.flags.is_empty() {
        let _ = writeln!(
            text,
            "{INDENT}    VmFlags: {}",
            screen.paint(Role::Dim, &watched.flags)
        );
    }
}

/// The checks and figures of two runs in two columns.
fn side_by_side(text: &mut String, runs: &[Run], screen: &Screen) {
    let _ = writeln!(text, "\n{}", screen.paint(Role::Title, "Side by side"));
    let whats = figures::whats(runs);
    let wide = whats
        .iter()
        .map(|what| what.chars().count())
        .max()
        .unwrap_or(0)
        .min(48);
    let head: String = runs.iter().map(|run| format!("{:>20}", run.malloc)).collect();
    let _ = writeln!(text, "{INDENT}{:wide$}{}", "", screen.paint(Role::Label, &head));
    for what in whats {
        let cells: String = runs
            .iter()
            .map(|run| format!("{:>20}", printable(figures::found(run, what).unwrap_or("-"))))
            .collect();
        let _ = writeln!(text, "{INDENT}{what:wide$}{cells}");
    }
}
