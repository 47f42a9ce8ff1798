//! Experiments as text: the list and a line for each here, one in full ([`whole`]), what two records do
//! differently ([`differences`]); and a record as one page of HTML ([`html`]).
//!
//! [`figures`] and [`strip`] are what text and page have in common: the figures of a look, and the layout
//! of an address space in so many columns.

use std::fmt::Write as _;

use clap::ValueEnum as _;

use super::screen::{Role, Screen};
use super::text::{printable, wrap};
use crate::lab::experiment::{Chapter, Experiment};
use crate::lab::record::{Record, Trial, Verdict};

mod figures;
mod strip;

mod differences;
mod html;
mod whole;

pub(crate) use differences::differences;
pub(crate) use html::page;
pub(crate) use whole::whole;

const INDENT: &str = "  ";
const NAME_COLUMNS: usize = 38;

/// All experiments, by chapter.
pub(crate) fn list(screen: &Screen) -> String {
    let mut text = String::new();
    for chapter in Chapter::value_variants() {
        let heading = format!("{} ({})", chapter.heading(), chapter.name());
        let _ = writeln!(text, "{}", screen.paint(Role::Title, &heading));
        for experiment in crate::lab::of(*chapter) {
            let room = screen.columns.saturating_sub(NAME_COLUMNS + 2).max(30);
            let mut lines = wrap(experiment.question, room).into_iter();
            let name = screen.paint(Role::Label, &format!("{:NAME_COLUMNS$}", experiment.name));
            let _ = writeln!(text, "{INDENT}{name}{}", lines.next().unwrap_or_default());
            for line in lines {
                let _ = writeln!(text, "{INDENT}{:NAME_COLUMNS$}{}", "", line.trim_start());
            }
        }
        text.push('\n');
    }
    text.push_str("neap lab NAME runs one, neap lab --all every one.\n");
    text
}

/// One experiment in a line, with what differs below it.
pub(crate) fn line(experiment: &Experiment, trial: &Trial, screen: &Screen) -> String {
    let mut text = String::new();
    let word = screen.paint(role(&trial.verdict), &format!("{:16}", trial.verdict.word()));
    let _ = writeln!(
        text,
        "{word}{:NAME_COLUMNS$}{}",
        experiment.name, experiment.question
    );
    below(&mut text, &trial.verdict, screen);
    text
}

fn role(verdict: &Verdict) -> Role {
    match verdict {
        Verdict::Confirmed => Role::Good,
        Verdict::Differs { .. } => Role::Bad,
        Verdict::CannotRun { .. } => Role::Dim,
    }
}

fn below(text: &mut String, verdict: &Verdict, screen: &Screen) {
    let mut put = |label: &str, sentence: &str| {
        for (index, line) in wrap(&printable(sentence), screen.columns.saturating_sub(24))
            .iter()
            .enumerate()
        {
            let label = if index == 0 { label } else { "" };
            let _ = writeln!(text, "{:16}{label:6}{}", "", line.trim_start());
        }
    };
    match verdict {
        Verdict::Confirmed => {}
        Verdict::Differs { how } => how.iter().for_each(|sentence| put("how:", sentence)),
        Verdict::CannotRun { why, mend } => {
            put("why:", why);
            put("mend:", mend);
        }
    }
}

/// How many came out how, and on what machine.
pub(crate) fn sum(record: &Record, screen: &Screen) -> String {
    let count = |word: &str| {
        record
            .trials
            .iter()
            .filter(|trial| trial.verdict.word() == word)
            .count()
    };
    let at = &record.circumstances;
    let user = if at.is_root {
        "root"
    } else {
        "an unprivileged user"
    };
    let text = format!(
        "{} confirmed, {} differ, {} cannot run here, of {}\n{}, {}, as {user}\n",
        count("confirmed"),
        count("differs"),
        count("cannot run here"),
        record.trials.len(),
        at.kernel,
        at.c_library.as_deref().unwrap_or("C library unknown"),
    );
    format!("\n{}", screen.paint(Role::Title, &text))
}
