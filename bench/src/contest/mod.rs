//! [`Contest`]: one thing measured of several contenders that take turns.
//!
//! Owns the order of runs and the verdicts. The order of the contenders moves on each round, so that nobody
//! always runs after the same neighbour.

pub(crate) mod text;

use crate::record::{Machine, put};
use crate::stats::Summary;
use serde::Serialize;
use std::time::Instant;

/// A smaller difference of two ways to do the same is none.
const DIFFERENCE_MIN: f64 = 0.02;

/// What a figure counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(crate) enum Unit {
    /// GiB of payload each second.
    GibPerSecond,
    /// Nanoseconds for one operation.
    Nanoseconds,
    /// Microseconds for one operation.
    Microseconds,
    /// Milliseconds for one run.
    Milliseconds,
}

impl Unit {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Unit::GibPerSecond => "GiB/s",
            Unit::Nanoseconds => "ns",
            Unit::Microseconds => "us",
            Unit::Milliseconds => "ms",
        }
    }

    /// How many times as good `one` is as `other`.
    fn goodness(self, one: &Summary, other: &Summary) -> crate::stats::Ratio {
        match self {
            Unit::GibPerSecond => one.over(other),
            Unit::Nanoseconds | Unit::Microseconds | Unit::Milliseconds => other.over(one),
        }
    }
}

/// One run of a contender: its figure, in the contest's unit.
pub(crate) type Run = Box<dyn FnMut() -> Result<f64, String>>;

/// Who takes part.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) run: Run,
}

impl Contender {
    pub(crate) fn new(name: &'static str, run: impl FnMut() -> Result<f64, String> + 'static) -> Contender {
        Contender {
            name,
            run: Box::new(run),
        }
    }
}

/// What shall hold: `who` is at least `ratio` times as good as `rival`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) who: &'static str,
    pub(crate) rival: &'static str,
    pub(crate) ratio: f64,
}

/// See the module.
pub(crate) struct Contest {
    pub(crate) name: &'static str,
    /// What one run does.
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) targets: Vec<Target>,
}

/// What came out.
#[derive(Serialize)]
pub(crate) struct Finding {
    pub(crate) name: &'static str,
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) figures: Vec<Figure>,
    pub(crate) verdicts: Vec<Verdict>,
}

/// The contests of a part, or why there are none.
pub(crate) fn one_by_one(part: Result<Vec<Contest>, String>) -> Vec<Result<Contest, String>> {
    match part {
        Ok(contests) => contests.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    }
}

/// Holds those whose name contains one of `only`, or all, and says on standard error which is on.
pub(crate) fn hold(
    contests: impl Iterator<Item = Result<Contest, String>>,
    only: &[String],
    rounds: usize,
) -> Result<Vec<Finding>, String> {
    let start = Instant::now();
    let mut findings = Vec::new();
    for contest in contests {
        let contest = contest?;
        if only.is_empty() || only.iter().any(|part| contest.name.contains(part.as_str())) {
            eprintln!("{:6.1} s  {}", start.elapsed().as_secs_f64(), contest.name);
            findings.push(contest.hold(rounds.max(1)));
        }
    }
    if findings.is_empty() {
        return Err(format!("no contest named {}", only.join(" or ")));
    }
    Ok(findings)
}

#[derive(Serialize)]
struct Record<'a> {
    machine: &'a Machine,
    rivals: &'a [String],
    findings: &'a [Finding],
}

/// Writes `NAME.md` and `NAME.json` to the record of today and this commit, and prints where. `rivals` are
/// the versions of those that are programs.
pub(crate) fn record(
    name: &str,
    machine: &Machine,
    rivals: &[String],
    findings: &[Finding],
) -> Result<(), String> {
    let directory = machine.directory()?;
    let json = serde_json::to_string(&Record {
        machine,
        rivals,
        findings,
    })
    .map_err(|e| format!("the findings as JSON: {e}"))?;
    let rivals = match rivals {
        [] => String::new(),
        some => format!("- {}\n", some.join("; ")),
    };
    let text = format!("{}{rivals}\n{}", machine.text(), text::text_of(findings));
    println!("{}", put(&directory, &format!("{name}.md"), &text)?.display());
    println!(
        "{}",
        put(&directory, &format!("{name}.json"), &format!("{json}\n"))?.display()
    );
    Ok(())
}

/// One contender's figures.
#[derive(Serialize)]
pub(crate) struct Figure {
    pub(crate) contender: &'static str,
    pub(crate) summary: Option<Summary>,
    /// Why there is none.
    pub(crate) failure: Option<String>,
}

/// Whether a target was met.
#[derive(Serialize)]
pub(crate) struct Verdict {
    pub(crate) who: &'static str,
    pub(crate) rival: &'static str,
    pub(crate) wanted: f64,
    /// `None`: one of the two has no figure.
    pub(crate) measured: Option<f64>,
    /// There is no rival to measure against, so the target is neither met nor missed.
    pub(crate) has_no_rival: bool,
    pub(crate) is_met: bool,
    pub(crate) is_noise: bool,
}

impl Contest {
    /// Runs every contender `rounds` times, one after the other.
    pub(crate) fn hold(mut self, rounds: usize) -> Finding {
        let count = self.contenders.len();
        let mut samples: Vec<Result<Vec<f64>, String>> = vec![Ok(Vec::new()); count];
        for round in 0..rounds {
            for turn in 0..count {
                let index = (round + turn) % count;
                let Ok(so_far) = &mut samples[index] else { continue };
                match (self.contenders[index].run)() {
                    Ok(figure) => so_far.push(figure),
                    Err(reason) => samples[index] = Err(reason),
                }
            }
        }
        let figures: Vec<Figure> = self
            .contenders
            .iter()
            .zip(samples)
            .map(|(contender, outcome)| match outcome {
                Ok(samples) => Figure {
                    contender: contender.name,
                    summary: Some(Summary::of(samples)),
                    failure: None,
                },
                Err(reason) => Figure {
                    contender: contender.name,
                    summary: None,
                    failure: Some(reason),
                },
            })
            .collect();
        let verdicts = self
            .targets
            .iter()
            .map(|target| verdict(*target, self.unit, &figures))
            .collect();
        Finding {
            name: self.name,
            what: self.what,
            unit: self.unit.name(),
            figures,
            verdicts,
        }
    }
}

fn verdict(target: Target, unit: Unit, figures: &[Figure]) -> Verdict {
    let summary = |name: &str| figures.iter().find(|f| f.contender == name)?.summary.as_ref();
    let ratio = match (summary(target.who), summary(target.rival)) {
        (Some(who), Some(rival)) => Some(unit.goodness(who, rival)),
        _ => None,
    };
    // Where equality is asked for, a difference that is not one meets it: within the scatter of the runs, or
    // so small that where the linker puts a loop makes as much.
    let is_noise = ratio
        .is_some_and(|r| target.ratio == 1.0 && (r.is_noise() || (r.value - 1.0).abs() < DIFFERENCE_MIN));
    Verdict {
        who: target.who,
        rival: target.rival,
        wanted: target.ratio,
        measured: ratio.map(|r| r.value),
        has_no_rival: summary(target.who).is_some() && summary(target.rival).is_none(),
        is_met: is_noise || ratio.is_some_and(|r| r.value >= target.ratio),
        is_noise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    fn steady(name: &'static str, figure: f64) -> Contender {
        let mut turn = 0_u32;
        Contender::new(name, move || {
            turn += 1;
            Ok(figure * (1.0 + f64::from(turn % 2) / 1000.0))
        })
    }

    fn contest(unit: Unit, contenders: Vec<Contender>, targets: Vec<Target>) -> Finding {
        Contest {
            name: "test",
            what: String::new(),
            unit,
            contenders,
            targets,
        }
        .hold(5)
    }

    #[test]
    fn more_is_better_of_rates_and_less_of_times() {
        let target = |ratio| {
            vec![Target {
                who: "a",
                rival: "b",
                ratio,
            }]
        };
        for (unit, a, b) in [(Unit::GibPerSecond, 2.0, 1.0), (Unit::Nanoseconds, 1.0, 2.0)] {
            let run = |ratio| contest(unit, vec![steady("a", a), steady("b", b)], target(ratio));
            assert!(run(1.9).verdicts[0].is_met);
            assert!(!run(2.1).verdicts[0].is_met);
        }
    }

    #[test]
    fn who_fails_has_no_figure_and_meets_no_target() {
        let broken = Contender::new("a", || Err("no such device".to_owned()));
        let targets = vec![Target {
            who: "a",
            rival: "b",
            ratio: 1.0,
        }];
        let finding = contest(Unit::Nanoseconds, vec![broken, steady("b", 1.0)], targets);
        assert_eq!(finding.figures[0].failure.as_deref(), Some("no such device"));
        assert!(!finding.verdicts[0].is_met && !finding.verdicts[0].has_no_rival);
        assert!(text::text_of(&[finding]).contains("MISS test: a at least"));
    }

    #[test]
    fn a_rival_that_is_not_there_decides_nothing() {
        let missing = Contender::new("b", || Err("b is not installed".to_owned()));
        let targets = vec![Target {
            who: "a",
            rival: "b",
            ratio: 1.0,
        }];
        let finding = contest(Unit::Milliseconds, vec![steady("a", 1.0), missing], targets);
        assert!(finding.verdicts[0].has_no_rival);
        let text = text::text_of(&[finding]);
        assert!(text.contains("n/a (b is not installed)"), "{text}");
        assert!(text.contains("- n/a test: a at least"), "{text}");
    }

    #[test]
    fn turns_move_on_each_round() {
        let order = Rc::new(RefCell::new(String::new()));
        let contender = |name: &'static str| {
            let order = Rc::clone(&order);
            Contender::new(name, move || {
                order.borrow_mut().push_str(name);
                Ok(1.0)
            })
        };
        contest(
            Unit::Nanoseconds,
            vec![contender("a"), contender("b"), contender("c")],
            Vec::new(),
        );
        assert_eq!(*order.borrow(), "abcbcacababcbca");
    }
}
