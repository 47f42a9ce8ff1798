//! `neap lab`: every memory call of Linux, tried on the running kernel.
//!
//! Parts, each using only those above it:
//! [`cells`] (pages as letters),
//! [`space`] (an address space as regions),
//! [`sight`] (a process looked at from outside),
//! [`setting`] (settings of the system),
//! [`record`] (what came of it),
//! [`hand`] (what an experiment works with),
//! [`offspring`] (its children),
//! [`disk_file`] (its files),
//! [`area`] (its mappings),
//! [`ground`] (its memory),
//! [`malloc`] (blocks and the break),
//! [`experiment`],
//! `chapters` (the experiments),
//! [`guardian`] (restores settings),
//! [`conduct`] (runs experiments, each in a process of its own),
//! [`compare`] (two records beside each other).
//!
//! The only part of the command that may meet the OS layer and hold unsafe code. An experiment's process is
//! this program again, `neap lab --perform NAME`.

pub(crate) mod cells;

pub(crate) mod space;

pub(crate) mod sight;

pub(crate) mod setting;

pub(crate) mod record;

pub(crate) mod hand;

pub(crate) mod offspring;

pub(crate) mod disk_file;

pub(crate) mod area;

pub(crate) mod ground;

pub(crate) mod malloc;

pub(crate) mod experiment;

mod chapters;

pub(crate) mod guardian;

pub(crate) mod conduct;

pub(crate) mod compare;

use std::path::Path;

use experiment::{Chapter, Experiment};
use hand::Hand;

/// Every experiment, in the order of chapters.
pub(crate) fn experiments() -> impl Iterator<Item = &'static Experiment> {
    chapters::ALL.iter().flat_map(|chapter| chapter.iter().copied())
}

/// By name.
pub(crate) fn named(name: &str) -> Option<&'static Experiment> {
    experiments().find(|experiment| experiment.name == name)
}

/// Of one chapter.
pub(crate) fn of(chapter: Chapter) -> impl Iterator<Item = &'static Experiment> {
    experiments().filter(move |experiment| experiment.chapter == chapter)
}

/// In the experiment's own process: does it. Says nothing but its part of the talk.
pub(crate) fn perform(name: &str, scratch: &Path, may_change: bool) {
    // The observer must not be survived.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let Some(experiment) = named(name) else { return };
    let mut hand = Hand::new(scratch.to_owned(), conduct::kernel(), may_change);
    hand::conclude((experiment.run)(&mut hand));
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;
    use std::collections::HashSet;

    #[test]
    fn experiments_are_told_in_full() {
        let mut names = HashSet::new();
        for experiment in experiments() {
            let name = experiment.name;
            assert!(names.insert(name), "{name} twice");
            assert!(
                name.chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
                "{name}"
            );
            assert!(experiment.question.ends_with('?'), "{name}: a question ends in ?");
            for (what, text) in [
                ("method", experiment.method),
                ("expectation", experiment.expectation),
                ("explanation", experiment.explanation),
                ("cannot_show", experiment.cannot_show),
                ("source", experiment.source),
            ] {
                assert!(text.len() > 10 && text.ends_with('.'), "{name}: {what}: {text}");
            }
            assert!(experiment.c.contains("int main("), "{name}: C is a whole program");
            assert!(
                experiment.rust.contains("fn main()"),
                "{name}: Rust is a whole program"
            );
        }
    }

    /// The part of docs/lab.md that names the experiments, as it should be.
    fn listed() -> String {
        let mut text = String::new();
        for chapter in Chapter::value_variants() {
            text.push_str(&format!("\n### {} (`{}`)\n\n", chapter.heading(), chapter.name()));
            for experiment in of(*chapter) {
                text.push_str(&format!("- `{}`: {}\n", experiment.name, experiment.question));
            }
        }
        text.push('\n');
        text
    }

    /// `NEAP_BLESS=1` writes them anew.
    #[test]
    fn the_document_names_every_experiment() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/lab.md");
        let document = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = document.split_once("<!-- experiments -->\n").unwrap();
        let (list, after) = rest.split_once("<!-- end of experiments -->").unwrap();
        let wanted = listed();
        if std::env::var_os("NEAP_BLESS").is_some() {
            let new = format!("{before}<!-- experiments -->\n{wanted}<!-- end of experiments -->{after}");
            std::fs::write(&path, new).unwrap();
            return;
        }
        assert_eq!(list, wanted, "NEAP_BLESS=1 writes it anew");
    }

    #[test]
    fn every_chapter_has_experiments() {
        for chapter in Chapter::value_variants() {
            assert!(of(*chapter).count() > 0, "{}", chapter.name());
        }
    }
}
