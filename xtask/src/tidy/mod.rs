//! `cargo xtask tidy`: what rustc and clippy cannot check about this workspace.
//!
//! Each check is one file here and returns its findings as lines; nothing is printed but findings.

mod blessed;
mod imports;
mod layers;
mod library;
mod pure;
mod sizes;
mod source;
mod unsafe_modules;
mod wording;

use crate::Outcome;
use blessed::Lists;
use source::Source;

/// Runs every check.
pub(crate) fn run(args: &[&str]) -> Outcome {
    let lists = match args {
        [] => Lists::Compare,
        ["--bless"] => Lists::Rewrite,
        _ => return Err("usage: cargo xtask tidy [--bless]".to_owned()),
    };
    let sources = source::all()?;
    let mut findings = imports::check()?;
    findings.extend(layers::check(&sources));
    findings.extend(pure::check(&sources));
    findings.extend(unsafe_modules::check(&sources, lists)?);
    findings.extend(wording::check(&sources));
    findings.extend(sizes::check(&sources)?);
    findings.extend(library::check(lists)?);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => {
            println!(
                "tidy: {} source files and libneap.so are as they should be",
                sources.len()
            );
            Ok(())
        }
        n => Err(format!("tidy: {n} findings")),
    }
}

/// The lines of a checked-in list, without comments and blank lines.
fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
}
