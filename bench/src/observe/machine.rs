//! The whole machine: processes, memory, metrics.

use super::command::{Figure, Tools, Words};
use crate::contest::{Contest, Target, Unit};

/// `neap top`, `neap free`, `neap export`.
pub(crate) fn contests(tools: &Tools) -> Result<Vec<Contest>, String> {
    Ok(vec![
        top(tools, "top-once", Figure::Wall),
        top(tools, "top-once-cpu", Figure::Cpu),
        free(tools),
        export(tools),
    ])
}

fn top(tools: &Tools, name: &'static str, figure: Figure) -> Contest {
    let what = match figure {
        Figure::Wall => {
            "Time to list the processes of this machine once; half a second of neap's lies between two \
             readings, for rates."
        }
        Figure::Cpu => "Processor time of the same.",
    };
    Contest {
        name,
        what: format!("{what} neap and smem read the smaps of each process, ps of none."),
        unit: Unit::Milliseconds,
        contenders: vec![
            tools.neap(["top", "--once"]).contender("neap top --once", figure),
            Words::of("smem").contender("smem", figure),
            Words::of("ps aux").contender("ps aux", figure),
        ],
        targets: match figure {
            Figure::Wall => Vec::new(),
            Figure::Cpu => vec![Target {
                who: "neap top --once",
                rival: "smem",
                ratio: 1.0,
            }],
        },
    }
}

fn free(tools: &Tools) -> Contest {
    Contest {
        name: "free",
        what: "Time to say how much memory the machine has left.".to_owned(),
        unit: Unit::Milliseconds,
        contenders: vec![
            tools.neap(["free"]).contender("neap free", Figure::Wall),
            Words::of("free").contender("free", Figure::Wall),
        ],
        targets: Vec::new(),
    }
}

fn export(tools: &Tools) -> Contest {
    Contest {
        name: "export-once",
        what: "Time to write every metric once, as a scraper would get it. cat only reads two of the files."
            .to_owned(),
        unit: Unit::Milliseconds,
        contenders: vec![
            tools
                .neap(["export", "--once"])
                .contender("neap export --once", Figure::Wall),
            Words::of("cat /proc/meminfo /proc/vmstat").contender("cat meminfo vmstat", Figure::Wall),
        ],
        targets: Vec::new(),
    }
}
