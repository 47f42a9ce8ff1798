//! What it costs a program to be run by `neap run`: a short one, and one of some seconds.

use super::Effort;
use super::command::{Figure, Tools, Words};
use crate::contest::{Contest, Target, Unit};

/// Both, in time and in processor time.
pub(crate) fn contests(tools: &Tools) -> Result<Vec<Contest>, String> {
    let percent = match tools.effort {
        Effort::Quick => "40",
        Effort::Full => "600",
    };
    let work = ["run", WORKLOAD, percent];
    Ok(vec![
        short(tools, "run-true", Figure::Wall),
        short(tools, "run-true-cpu", Figure::Cpu),
        long(tools, &work, "run-workload", Figure::Wall),
        long(tools, &work, "run-workload-cpu", Figure::Cpu),
    ])
}

/// Of `neap-load`: two seconds with a heap that grows and shrinks, so that there is something to watch.
const WORKLOAD: &str = "store";

fn short(tools: &Tools, name: &'static str, figure: Figure) -> Contest {
    Contest {
        name,
        what: format!(
            "{} of true(1), alone and by neap run with its report.",
            of(figure)
        ),
        unit: Unit::Milliseconds,
        contenders: vec![
            Words::of("true").contender("without", figure),
            tools.neap(["run", "--", "true"]).contender("neap run", figure),
        ],
        targets: Vec::new(),
    }
}

fn long(tools: &Tools, work: &[&str], name: &'static str, figure: Figure) -> Contest {
    let load = |words: Words| words.and(tools.load.clone());
    let worded = |words: Words| work.iter().fold(words, |words, word| words.and(*word));
    Contest {
        name,
        what: format!(
            "{} of a workload under libneap.so, preloaded by hand and by neap run with its report.",
            of(figure)
        ),
        unit: Unit::Milliseconds,
        contenders: vec![
            Words::new(&tools.load, work.iter().copied())
                .with("LD_PRELOAD", tools.library.clone())
                .contender("LD_PRELOAD", figure),
            worded(load(tools.neap(["run", "--"]))).contender("neap run", figure),
        ],
        targets: vec![Target {
            who: "neap run",
            rival: "LD_PRELOAD",
            ratio: 0.97,
        }],
    }
}

const fn of(figure: Figure) -> &'static str {
    match figure {
        Figure::Wall => "Time",
        Figure::Cpu => "Processor time",
    }
}
