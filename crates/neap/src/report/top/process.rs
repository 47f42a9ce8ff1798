//! The screen of one process.

use neap_proc::Reading;
use neap_proc::model::Kind;
use neap_proc::parse::State;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::palette::{Palette, Tone};
use super::{cell, chart, list};
use crate::report::text::printable;
use crate::top::follower::{KindUse, ProcessPicture, SpaceUse};
use crate::top::heap_figures::HeapFigures;
use crate::top::view::View;
use crate::unit;

const LABEL_COLUMNS: usize = 7;
/// A chart of fewer lines says nothing.
const CHART_MIN: usize = 3;
const CHART_MAX: usize = 16;
/// Six of figures, the words under the chart, the heads of the table, the address space, the foot.
const OTHER_LINES: usize = 10;

pub(super) fn draw(frame: &mut Frame, view: &View, palette: &Palette) {
    let Some(picture) = &view.process else { return };
    let area = frame.area();
    let columns = usize::from(area.width);
    let mut lines = figures(picture, columns, palette);
    match &picture.space {
        Ok(space) => {
            let room = usize::from(area.height).saturating_sub(OTHER_LINES);
            let rows = space.kinds.len().min(room.saturating_sub(CHART_MIN));
            let chart_lines = room.saturating_sub(rows).min(CHART_MAX);
            lines.extend(charted(picture, &order(space), columns, chart_lines, palette));
            lines.extend(kinds(space, columns, rows, palette));
            let cells = columns.saturating_sub(LABEL_COLUMNS);
            let mut line = chart::addresses(&space.stretches, cells, palette);
            line.spans.insert(0, label("space", palette));
            lines.push(line);
        }
        Err(why) => {
            lines.push(no_kinds(why, palette));
            let room = usize::from(area.height)
                .saturating_sub(OTHER_LINES)
                .min(CHART_MAX);
            lines.extend(charted(picture, &[], columns, room, palette));
        }
    }
    frame.render_widget(Paragraph::new(lines), area);
    let place = Rect::new(0, area.bottom().saturating_sub(1), area.width, 1).intersection(area);
    frame.render_widget(foot(view, picture, columns, palette), place);
}

/// The figures and kinds as text, without a chart: one look has no curve.
pub(crate) fn text(picture: &ProcessPicture, columns: usize, palette: &Palette) -> String {
    let mut lines = figures(picture, columns, palette);
    match &picture.space {
        Ok(space) => {
            lines.extend(kinds(space, columns, space.kinds.len(), palette));
            let cells = columns.saturating_sub(LABEL_COLUMNS);
            let mut line = chart::addresses(&space.stretches, cells, palette);
            line.spans.insert(0, label("space", palette));
            lines.push(line);
        }
        Err(why) => lines.push(no_kinds(why, palette)),
    }
    let lines = lines
        .iter()
        .map(|line| format!("{}\n", line.to_string().trim_end()));
    lines.collect()
}

fn no_kinds(why: &str, palette: &Palette) -> Line<'static> {
    let text = format!("n/a ({}): by kind only as root, or as its user", printable(why));
    pair("kinds", &text, Tone::Dim, palette)
}

fn figures(picture: &ProcessPicture, columns: usize, palette: &Palette) -> Vec<Line<'static>> {
    let row = &picture.row;
    let process = &row.process;
    let command = palette.text(&printable(&row.command));
    let title = format!("neap top {}  {command}", process.pid);
    let mut about = vec![state(process.state, picture.ended).to_owned()];
    about.extend(
        row.user
            .as_deref()
            .map(|user| format!("user {}", printable(user))),
    );
    about.push(format!(
        "{} {}",
        process.threads,
        if process.threads == 1 { "thread" } else { "threads" }
    ));
    let age = picture
        .age_ns
        .value()
        .map(|ns| format!("started {} ago", unit::time(ns)));
    about.extend(age);
    about.push(format!("CPU time {}", unit::time(picture.cpu_ns)));
    let footprint = &process.footprint;
    let sizes = [
        ("RSS", process.resident_bytes),
        ("PSS", footprint.proportional_bytes),
        ("USS", footprint.unique_bytes),
        ("swap", footprint.swap_bytes),
    ];
    let mut memory: Vec<String> = sizes
        .iter()
        .map(|(word, bytes)| format!("{word} {}", cell::size(*bytes, palette)))
        .collect();
    memory.extend(cell::growth_of(row).map(|bytes| format!("{}/s", cell::growth(bytes))));
    let tone = if picture.ended { Tone::Bad } else { Tone::Dim };
    vec![
        Line::styled(
            title.chars().take(columns).collect::<String>(),
            palette.style(Tone::Title),
        ),
        Line::styled(palette.text(&joined(&about, columns)), palette.style(tone)),
        pair(
            "memory",
            &joined(&memory, columns - LABEL_COLUMNS.min(columns)),
            Tone::Plain,
            palette,
        ),
        rates(picture, columns, palette),
        heap(&picture.heap, columns, palette),
        calls(&picture.heap, columns, palette),
    ]
}

fn state(state: State, ended: bool) -> &'static str {
    match state {
        _ if ended => "HAS ENDED, this was its last picture",
        State::Running => "running",
        State::Sleeping => "sleeping",
        State::Waiting => "waits for a disk or the like",
        State::Stopped => "stopped",
        State::Zombie | State::Dead => "ended",
        State::Other(_) => "idle",
    }
}

fn rates(picture: &ProcessPicture, columns: usize, palette: &Palette) -> Line<'static> {
    let texts = match picture.row.rates {
        Some(rates) => vec![
            format!("CPU {} %", cell::percent(rates.cpu_share * 100.0)),
            format!(
                "{} minor faults/s",
                cell::per_second(rates.minor_faults_per_second)
            ),
            format!(
                "{} major faults/s",
                cell::per_second(rates.major_faults_per_second)
            ),
        ],
        None => vec![palette.not_yet().to_owned()],
    };
    let text = joined(&texts, columns.saturating_sub(LABEL_COLUMNS));
    pair("now", &text, Tone::Plain, palette)
}

fn heap(heap: &Result<HeapFigures, String>, columns: usize, palette: &Palette) -> Line<'static> {
    let heap = match heap {
        Ok(heap) => heap,
        Err(why) => return pair("heap", &format!("n/a ({})", printable(why)), Tone::Dim, palette),
    };
    let live = heap
        .live_bytes
        .map_or_else(|| "n/a (not counted yet)".to_owned(), unit::size);
    let mut texts = vec![
        format!("live {live}"),
        format!("held {}", unit::size(heap.held_bytes)),
        format!("dirt {}", unit::size(heap.dirt_bytes)),
        format!("given back {}", unit::size(heap.given_back_bytes)),
    ];
    let rate = heap.rates.map(|rates| rates.given_back_bytes_per_second);
    texts.extend(rate.map(|bytes| format!("{}/s", cell::growth(bytes))));
    pair(
        "heap",
        &joined(&texts, columns.saturating_sub(LABEL_COLUMNS)),
        Tone::Plain,
        palette,
    )
}

fn calls(heap: &Result<HeapFigures, String>, columns: usize, palette: &Palette) -> Line<'static> {
    let heap = match heap {
        Ok(heap) => heap,
        Err(_) => {
            return pair(
                "calls",
                "n/a (only libneap.so counts memory calls)",
                Tone::Dim,
                palette,
            );
        }
    };
    let rate = heap.rates.map_or_else(
        || palette.not_yet().to_owned(),
        |rates| cell::per_second(rates.calls_per_second),
    );
    let mut texts = vec![format!("{rate} memory calls/s")];
    texts.extend(
        heap.named_calls()
            .map(|(name, calls)| format!("{name} {}", unit::count(calls))),
    );
    pair(
        "calls",
        &joined(&texts, columns.saturating_sub(LABEL_COLUMNS)),
        Tone::Plain,
        palette,
    )
}

/// The largest at the bottom of the chart and at the top of the table.
fn order(space: &SpaceUse) -> Vec<Kind> {
    sorted(space).into_iter().map(|kind| kind.kind).collect()
}

fn sorted(space: &SpaceUse) -> Vec<KindUse> {
    let mut kinds = space.kinds.clone();
    kinds.sort_by_key(|kind| std::cmp::Reverse((kind.resident_bytes.value(), kind.mapped_bytes)));
    kinds
}

fn charted(
    picture: &ProcessPicture,
    order: &[Kind],
    columns: usize,
    lines: usize,
    palette: &Palette,
) -> Vec<Line<'static>> {
    if lines < CHART_MIN {
        return Vec::new();
    }
    let mut drawn = chart::stacked(&picture.history, order, columns, lines, palette);
    let first = picture.history.points().first().map_or(0, |point| point.at_ns);
    let since = unit::time(picture.at_ns.saturating_sub(first));
    let text = format!(
        "{:width$}RSS by kind over the last {since}",
        "",
        width = chart::SCALE_COLUMNS
    );
    drawn.push(Line::styled(palette.text(&text), palette.style(Tone::Dim)));
    drawn
}

fn kinds(space: &SpaceUse, columns: usize, rows: usize, palette: &Palette) -> Vec<Line<'static>> {
    if rows == 0 {
        return Vec::new();
    }
    let heads = ["RSS", "PSS", "SWAP", "MAPPED", "MAPPINGS"];
    let room = columns.saturating_sub(14);
    let fitting = (room / 10).min(heads.len());
    let row = |first: String, cells: &[String]| {
        let shown = cells.iter().take(fitting);
        shown.fold(first, |line, cell| format!("{line}{cell:>10}"))
    };
    let head = row(format!("{:14}", "  KIND"), &heads.map(str::to_owned));
    let mut lines = vec![Line::styled(head, palette.style(Tone::Label))];
    for kind in sorted(space).into_iter().take(rows) {
        let size = |bytes: Reading<u64>| cell::size(bytes, palette);
        let cells = [
            size(kind.resident_bytes),
            size(kind.proportional_bytes),
            size(kind.swap_bytes),
            unit::size(kind.mapped_bytes),
            unit::count(kind.mappings),
        ];
        let sample = Span::styled(palette.sample(kind.kind).to_string(), palette.kind(kind.kind));
        let rest = row(format!(" {:12}", kind.kind.word()), &cells);
        lines.push(Line::from(vec![sample, Span::raw(rest)]));
    }
    lines
}

fn foot(view: &View, picture: &ProcessPicture, columns: usize, palette: &Palette) -> Line<'static> {
    if let Some(line) = list::notice(view, palette) {
        return line;
    }
    let mut texts = Vec::new();
    if view.frozen && !picture.ended {
        texts.push("FROZEN".to_owned());
    }
    let keys = [
        "Esc all processes",
        "t give back",
        "space freeze",
        "? help",
        "q quit",
    ];
    texts.extend(keys.map(str::to_owned));
    list::hints(&texts, columns, palette)
}

fn pair(word: &'static str, text: &str, tone: Tone, palette: &Palette) -> Line<'static> {
    Line::from(vec![
        label(word, palette),
        Span::styled(palette.text(text), palette.style(tone)),
    ])
}

fn label(word: &'static str, palette: &Palette) -> Span<'static> {
    Span::styled(format!("{word:LABEL_COLUMNS$}"), palette.style(Tone::Label))
}

/// As many of the texts as fit, two blanks between them.
fn joined(texts: &[String], columns: usize) -> String {
    let mut line = String::new();
    for text in texts {
        let more = text.chars().count() + 2;
        if !line.is_empty() && line.chars().count() + more > columns {
            break;
        }
        if !line.is_empty() {
            line.push_str("  ");
        }
        line.push_str(text);
    }
    line
}
