//! `cargo xtask test` and `cargo xtask ci`: every test of the workspace, and one closing line.

use crate::artifacts::{self, cargo, check, show};
use crate::{Outcome, tidy};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What to run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    reach: Reach,
    filter: Option<String>,
}

/// How much of it.
#[derive(Debug, Default, PartialEq, Eq)]
enum Reach {
    #[default]
    All,
    /// Without the real programs, which take minutes.
    Fast,
}

impl Plan {
    pub(crate) fn parse(args: &[&str]) -> Outcome<Plan> {
        let mut plan = Plan::default();
        for &arg in args {
            match arg {
                "--fast" => plan.reach = Reach::Fast,
                _ if arg.starts_with('-') || plan.filter.is_some() => {
                    return Err(format!("cargo xtask test [--fast] [FILTER]: unexpected {arg}"));
                }
                _ => plan.filter = Some(arg.to_owned()),
            }
        }
        Ok(plan)
    }
}

/// Counts over every test binary, as cargo printed them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl Tally {
    /// Adds `test result: ok. 4 passed; 0 failed; 1 ignored; ...`; any other line adds nothing.
    fn add(&mut self, line: &str) {
        let Some(counts) = line.trim().strip_prefix("test result: ") else {
            return;
        };
        for part in counts.split([';', '.']) {
            let mut words = part.split_whitespace();
            let number = words.next().and_then(|n| n.parse().ok()).unwrap_or(0);
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed") => self.failed += number,
                Some("ignored") => self.ignored += number,
                _ => {}
            }
        }
    }
}

/// The models of the heap's lock-free parts, which loom runs in every order of events. In a folder of
/// their own: the flag would have everything else built again.
fn models() -> Outcome<Command> {
    let mut models = cargo("test");
    models.args(["-p", "neap-heap", "--release", "--lib"]);
    models.env("RUSTFLAGS", "--cfg loom");
    models.env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true");
    models.env("CARGO_PROFILE_RELEASE_LTO", "off");
    models.env("CARGO_TARGET_DIR", artifacts::target()?.join("loom"));
    Ok(models)
}

/// Every input that a fuzzer has found worth keeping, once more. A workspace of its own, with its own folder.
fn replay() -> Outcome<Command> {
    let mut replay = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    replay.args(["test", "--release", "--locked", "--manifest-path"]);
    replay.arg(artifacts::root().join("fuzz/Cargo.toml"));
    replay.arg("--target-dir").arg(artifacts::target()?.join("fuzz"));
    Ok(replay)
}

/// Builds what the tests need and runs them all, to the last one even when some fail.
pub(crate) fn run(plan: Plan) -> Outcome {
    let built = artifacts::build()?;
    let skipped = artifacts::target()?.join("skipped-tests.txt");
    remove(&skipped)?;
    let mut workspace = cargo("test");
    workspace.args(["--workspace", "--no-fail-fast"]);
    let mut steps = vec![workspace];
    if plan.reach == Reach::All {
        steps.push(replay()?);
        steps.push(models()?);
    }
    let mut tally = Tally::default();
    let mut broken = Vec::new();
    for mut step in steps {
        step.args(plan.filter.as_deref());
        step.env("NEAP_LIB", &built.library)
            .env("NEAP_CLI", &built.command)
            .env("NEAP_TEST_SKIPPED", &skipped);
        if plan.reach == Reach::Fast {
            step.env("NEAP_TEST_FAST", "1");
        }
        let failed_before = tally.failed;
        if !tee(&mut step, &mut tally)? && tally.failed == failed_before {
            broken.push(show(&step));
        }
    }
    close(&tally, &skipped, &broken)
}

/// Runs a step, prints what it prints, counts its results. False when it failed.
fn tee(step: &mut Command, tally: &mut Tally) -> Outcome<bool> {
    eprintln!("$ {}", show(step));
    let mut child = step
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{}: {e}", show(step)))?;
    for line in child
        .stdout
        .take()
        .map(BufReader::new)
        .into_iter()
        .flat_map(BufReader::lines)
    {
        let line = line.unwrap_or_default();
        println!("{line}");
        tally.add(&line);
    }
    Ok(child.wait().map_err(|e| e.to_string())?.success())
}

fn remove(file: &Path) -> Outcome {
    match std::fs::remove_file(file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(format!("{}: {e}", file.display())),
        _ => Ok(()),
    }
}

/// Prints what was skipped and the closing line. A skipped test passes in cargo's count.
fn close(tally: &Tally, skipped: &PathBuf, broken: &[String]) -> Outcome {
    let text = std::fs::read_to_string(skipped).unwrap_or_default();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    println!();
    for line in &lines {
        println!("skipped: {line}");
    }
    let mut tests: Vec<&str> = lines.iter().filter_map(|l| l.split(": ").next()).collect();
    tests.dedup();
    let failed = tally.failed + broken.len();
    let skips = tests.len() + tally.ignored;
    println!(
        "{} passed, {failed} failed, {skips} skipped",
        tally.passed.saturating_sub(tests.len())
    );
    match (failed, broken) {
        (0, _) => Ok(()),
        (_, []) => Err("tests failed".to_owned()),
        _ => Err(format!("did not run to the end: {}", broken.join(", "))),
    }
}

type Step = fn() -> Outcome;

/// What `.ci/run` asks for: every check, each run even when an earlier one failed.
pub(crate) fn ci() -> Outcome {
    let steps: [(&str, Step); 4] = [
        ("test", || run(Plan::default())),
        ("fmt", || check(cargo("fmt").args(["--all", "--check"]))),
        ("clippy", || {
            let lints = ["--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
            check(cargo("clippy").args(lints))
        }),
        ("tidy", || tidy::run(&[])),
    ];
    let mut failed = Vec::new();
    for (name, step) in steps {
        if let Err(message) = step() {
            eprintln!("{name}: {message}");
            failed.push(name);
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("failed: {}", failed.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_adds_up_the_lines_of_cargo_test() {
        let mut tally = Tally::default();
        tally.add("running 5 tests");
        tally.add(
            "test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.00s",
        );
        tally.add("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out");
        assert_eq!(
            tally,
            Tally {
                passed: 5,
                failed: 2,
                ignored: 1
            }
        );
    }

    #[test]
    fn a_plan_takes_one_filter_and_refuses_what_it_does_not_know() {
        let plan = Plan::parse(&["--fast", "fork"]).unwrap();
        assert_eq!(
            plan,
            Plan {
                reach: Reach::Fast,
                filter: Some("fork".into())
            }
        );
        assert!(Plan::parse(&["--slow"]).is_err());
        assert!(Plan::parse(&["a", "b"]).is_err());
    }
}
