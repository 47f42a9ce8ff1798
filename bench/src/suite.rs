//! What is measured: the workloads that `neap-load` lists, and the real programs that are installed.

use crate::measure::Job;
use crate::peers::said;
use crate::programs;
use serde::Serialize;
use std::path::Path;
use std::process::Command;

/// Of our own, or a real one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Workload,
    Program,
}

/// One line of the tables.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) kind: Kind,
    pub(crate) job: Job,
}

/// Everything, with what was left out and why.
pub(crate) fn all(load: &Path, scratch: &Path, threads: usize) -> Result<(Vec<Task>, Vec<String>), String> {
    let listed = said(Command::new(load).arg("list"));
    let mut tasks: Vec<Task> = listed
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, what)| Task {
            name: name.to_owned(),
            what: what.to_owned(),
            kind: Kind::Workload,
            job: Job {
                program: load.to_owned(),
                words: ["run", name, "100", &threads.to_string()]
                    .map(Into::into)
                    .to_vec(),
                ..Job::default()
            },
        })
        .collect();
    if tasks.is_empty() {
        return Err(format!("{} lists no workloads", load.display()));
    }
    let mut left_out = Vec::new();
    for program in programs::ALL {
        match program.job(scratch) {
            Ok(job) => tasks.push(Task {
                name: program.name.to_owned(),
                what: program.what.to_owned(),
                kind: Kind::Program,
                job,
            }),
            Err(reason) => left_out.push(reason),
        }
    }
    Ok((tasks, left_out))
}

/// Those of `tasks` whose name is among `wanted`, or that are all programs or all workloads.
pub(crate) fn pick(tasks: Vec<Task>, wanted: &[String]) -> Result<Vec<Task>, String> {
    let is = |task: &Task, name: &str| match name {
        "programs" => task.kind == Kind::Program,
        "workloads" => task.kind == Kind::Workload,
        name => task.name == name,
    };
    if let Some(unknown) = wanted
        .iter()
        .find(|name| !tasks.iter().any(|task| is(task, name)))
    {
        let known: Vec<&str> = tasks.iter().map(|t| t.name.as_str()).collect();
        return Err(format!(
            "nothing is called {unknown}; there are: workloads, programs, {}",
            known.join(", ")
        ));
    }
    let kept = |task: &Task| wanted.is_empty() || wanted.iter().any(|name| is(task, name));
    Ok(tasks.into_iter().filter(kept).collect())
}
