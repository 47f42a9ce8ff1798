//! The address space of one process: `neap maps -x` beside `pmap -x`.

use super::command::{Figure, Tools, Words};
use super::subject::Subject;
use crate::contest::{Contest, Target, Unit};
use std::rc::Rc;

/// A contest for each size of process, and one for processor time.
pub(crate) fn contests(tools: &Tools) -> Result<Vec<Contest>, String> {
    let large = Rc::new(Subject::start(tools.scaled(60_000))?);
    Ok(vec![
        contest("maps-60000", tools, &large, Figure::Wall),
        contest("maps-60000-cpu", tools, &large, Figure::Cpu),
        contest(
            "maps-1000",
            tools,
            &Rc::new(Subject::start(tools.scaled(1000))?),
            Figure::Wall,
        ),
        contest("maps-few", tools, &Rc::new(Subject::start(0)?), Figure::Wall),
    ])
}

fn contest(name: &'static str, tools: &Tools, subject: &Rc<Subject>, figure: Figure) -> Contest {
    let pid = subject.pid().to_string();
    let held = |words: Words, name| {
        // The process lives as long as somebody may look at it.
        let subject = Rc::clone(subject);
        words.prepared(name, figure, move || {
            let _ = subject.pid();
            Ok(())
        })
    };
    let time = match figure {
        Figure::Wall => "Time",
        Figure::Cpu => "Processor time",
    };
    Contest {
        name,
        what: format!(
            "{time} to print the {} mappings of a process, each with its sizes. cat only reads what the \
             others parse.",
            subject.mappings
        ),
        unit: Unit::Milliseconds,
        contenders: vec![
            held(tools.neap(["maps", "-x", &pid]), "neap maps -x"),
            held(Words::of(&format!("pmap -x {pid}")), "pmap -x"),
            held(tools.neap(["maps", &pid]), "neap maps"),
            held(Words::of(&format!("cat /proc/{pid}/smaps")), "cat smaps"),
        ],
        targets: vec![Target {
            who: "neap maps -x",
            rival: "pmap -x",
            // Where almost all of the time is the kernel's and the start of a program, as much is enough.
            ratio: if subject.mappings > 10_000 { 2.0 } else { 1.0 },
        }],
    }
}
