//! One experiment in the page: folded, with what was asked and expected, what was seen, what was checked, and
//! the same by hand.

use std::fmt::Write as _;

use super::super::figures::{self, Row};
use super::super::strip::Strip;
use super::{class, picture};
use crate::lab::experiment::Experiment;
use crate::lab::record::{Event, Run, Trial, Verdict};
use crate::lab::sight::Sight;
use crate::report::markup::{escape, escape_lines};
use crate::unit;

/// Puts it behind what is there. `None`: this neap knows no experiment of that name.
pub(super) fn put(html: &mut String, experiment: Option<&Experiment>, trial: &Trial, page_bytes: u64) {
    let word = trial.verdict.word();
    let question = experiment.map_or("", |experiment| experiment.question);
    let _ = writeln!(
        html,
        "<details class=\"trial\" id=\"{0}\" data-verdict=\"{1}\">\n<summary><span class=\"verdict \
         {1}\">{word}</span> \
         <code>{0}</code> <span class=\"question\">{2}</span></summary>",
        escape(&trial.name),
        class(word),
        escape(question)
    );
    outcome(html, &trial.verdict);
    if let Some(experiment) = experiment {
        asked(html, experiment);
    }
    let side = if trial.runs.len() > 1 { " both" } else { "" };
    let _ = writeln!(html, "<div class=\"runs{side}\">");
    for run in &trial.runs {
        seen(html, run, trial.runs.len(), page_bytes);
    }
    html.push_str("</div>\n");
    if trial.runs.len() > 1 {
        side_by_side(html, &trial.runs);
    }
    if let Some(experiment) = experiment {
        told(html, experiment);
    }
    html.push_str("</details>\n");
}

fn outcome(html: &mut String, verdict: &Verdict) {
    match verdict {
        Verdict::Confirmed => {}
        Verdict::Differs { how } => {
            html.push_str("<ul class=\"bad\">\n");
            for sentence in how {
                let _ = writeln!(html, "<li>{}</li>", escape(sentence));
            }
            html.push_str("</ul>\n");
        }
        Verdict::CannotRun { why, mend } => {
            let _ = writeln!(
                html,
                "<p class=\"dim\">Why: {}.<br>What would let it: {}.</p>",
                escape(why.trim_end_matches('.')),
                escape(mend.trim_end_matches('.'))
            );
        }
    }
}

fn asked(html: &mut String, experiment: &Experiment) {
    let mut since = String::new();
    if let Some((major, minor)) = experiment.since {
        since = format!(" (Since Linux {major}.{minor}.)");
    }
    html.push_str("<dl>\n");
    for (label, text, more) in [
        ("Method", experiment.method, ""),
        ("Expected", experiment.expectation, since.as_str()),
    ] {
        let _ = writeln!(html, "<dt>{label}</dt><dd>{}{}</dd>", escape(text), escape(more));
    }
    html.push_str("</dl>\n");
}

fn told(html: &mut String, experiment: &Experiment) {
    html.push_str("<dl>\n");
    for (label, text) in [
        ("Why it is so", experiment.explanation),
        ("What it cannot show", experiment.cannot_show),
        ("Source", experiment.source),
    ] {
        let _ = writeln!(html, "<dt>{label}</dt><dd>{}</dd>", escape(text));
    }
    html.push_str("</dl>\n");
    for (language, code) in [("C", experiment.c), ("Rust", experiment.rust)] {
        let _ = writeln!(
            html,
            "<details class=\"code\"><summary>The same by hand in {language}</summary>\n\
             <pre tabindex=\"0\">{}</pre></details>",
            escape_lines(code)
        );
    }
}

/// One process's run: its looks as a table and drawn, its checks and figures.
fn seen(html: &mut String, run: &Run, runs: usize, page_bytes: u64) {
    html.push_str("<div class=\"run\">\n");
    if runs > 1 {
        let word = run.verdict.word();
        let _ = writeln!(
            html,
            "<h3>Under {} <span class=\"verdict {}\">{word}</span></h3>",
            escape(&run.malloc),
            class(word)
        );
    }
    let sights: Vec<&Sight> = run.sights().collect();
    looks(html, &sights, page_bytes);
    drawn(html, &sights);
    for event in &run.events {
        if let Event::Changed { what, from, to } = event {
            let _ = writeln!(
                html,
                "<p class=\"bad\">{} was set from {} to {}, and restored afterwards.</p>",
                escape(what),
                escape(from),
                escape(to)
            );
        }
    }
    checks(html, run);
    html.push_str("</div>\n");
}

/// A row for each figure that any look has, a column for each look.
fn looks(html: &mut String, sights: &[&Sight], page_bytes: u64) {
    if sights.is_empty() {
        return;
    }
    let columns: Vec<Vec<Row>> = sights
        .iter()
        .map(|sight| figures::rows(sight, page_bytes))
        .collect();
    html.push_str(
        "<p class=\"dim\">Looks at the process from outside, in kB or counted; the columns of free(1) \
         are of the \
         whole system.</p>\n<div class=\"wide\" tabindex=\"0\"><table class=\"looks\">\n<thead><tr>\
         <th scope=\"col\">Look</th>",
    );
    for (sight, number) in sights.iter().zip(1..) {
        let _ = write!(
            html,
            "<th scope=\"col\"><b>{number}</b> {}</th>",
            escape(&sight.label)
        );
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for (index, row) in columns[0].iter().enumerate() {
        let values: Vec<Option<u64>> = columns.iter().map(|rows| rows[index].value).collect();
        if values.iter().all(|value| value.is_none_or(|value| value == 0)) {
            continue;
        }
        let _ = write!(
            html,
            "<tr><th scope=\"row\">{}</th>",
            escape(&figures::label(row))
        );
        let mut was = None;
        for value in values {
            html.push_str(&cell(was, value));
            was = value.or(was);
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
}

fn cell(was: Option<u64>, value: Option<u64>) -> String {
    let Some(value) = value else {
        return "<td>n/a</td>".to_owned();
    };
    let moved = was.map_or_else(String::new, |was| figures::difference(was, value));
    if moved.is_empty() {
        return format!("<td class=\"same\">{}</td>", unit::count(value));
    }
    format!("<td>{}<br><small>{moved}</small></td>", unit::count(value))
}

/// The address space and the watched spans at each look, and the lines of maps that came and went.
fn drawn(html: &mut String, sights: &[&Sight]) {
    let strip = Strip::of(sights.iter().copied(), picture::STRIP);
    let mut before = None;
    html.push_str("<ol class=\"drawn\">\n");
    for sight in sights {
        let _ = writeln!(html, "<li><p class=\"look\">{}</p>", escape(&sight.label));
        picture::space(html, &strip.cells(sight, before));
        if !sight.changes.is_empty() {
            html.push_str("<pre class=\"maps\" tabindex=\"0\">");
            for line in &sight.changes {
                let class = if line.starts_with('+') { "good" } else { "bad" };
                let _ = writeln!(html, "<span class=\"{class}\">{}</span>", escape_lines(line));
            }
            if sight.changes_left_out > 0 {
                let _ = writeln!(html, "and {} lines more", unit::count(sight.changes_left_out));
            }
            html.push_str("</pre>\n");
        }
        for watched in &sight.watched {
            picture::watched(html, watched);
        }
        html.push_str("</li>\n");
        before = Some(*sight);
    }
    html.push_str("</ol>\n");
}

fn checks(html: &mut String, run: &Run) {
    if run.checks().next().is_some() {
        html.push_str(
            "<div class=\"wide\" tabindex=\"0\"><table class=\"checks\">\n<thead><tr><th \
             scope=\"col\">Check</th>\
             <th scope=\"col\">Expected</th><th scope=\"col\">Found</th><th \
             scope=\"col\"></th></tr></thead>\n<tbody>\n",
        );
        for check in run.checks() {
            let (class, word) = if check.holds {
                ("good", "holds")
            } else {
                ("bad", "NOT")
            };
            let _ = writeln!(
                html,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"{class}\">{word}</td></tr>",
                escape(&check.what),
                escape(&check.expected),
                escape(&check.found)
            );
        }
        html.push_str("</tbody>\n</table></div>\n");
    }
    let figures: Vec<(&String, &String)> = run
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Figure { what, found } => Some((what, found)),
            _ => None,
        })
        .collect();
    if figures.is_empty() {
        return;
    }
    html.push_str("<p class=\"dim\">Figures of which nothing is expected</p>\n<dl>\n");
    for (what, found) in figures {
        let _ = writeln!(html, "<dt>{}</dt><dd>{}</dd>", escape(what), escape(found));
    }
    html.push_str("</dl>\n");
}

/// What each of the runs found, in a column each.
fn side_by_side(html: &mut String, runs: &[Run]) {
    html.push_str(
        "<div class=\"wide\" tabindex=\"0\"><table class=\"checks\">\n<caption>Side by \
     side</caption>\n<thead><tr><th scope=\"col\">What</th>",
    );
    for run in runs {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escape(&run.malloc));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for what in figures::whats(runs) {
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escape(what));
        for run in runs {
            let found = figures::found(run, what).unwrap_or("-");
            let _ = write!(html, "<td>{}</td>", escape(found));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
}
