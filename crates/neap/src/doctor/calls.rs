//! The memory calls, tried.
//!
//! In a child: a sandbox may kill for a call. When it did, that call is denied and another child goes on with
//! the next.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use neap_proc::attempt::{Answer, Attempt};

use super::{Check, Group, NOTHING, Need, Status};
use crate::run::signals;

/// The hidden option of `neap doctor` by which the child knows what it is.
pub(crate) const FROM_OPTION: &str = "--attempts-from";

/// A limit was reached.
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;

/// What came of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered(Answer),
    /// The child did not survive it.
    Killed(i32),
    /// It was not tried.
    Untried(String),
}

/// All calls, in the order of their list.
pub(crate) type Answers = Vec<(Attempt, Outcome)>;

/// A call that the heap makes or will not miss: name, whether it must work, cost and mend.
type Row = (&'static str, Need, &'static str, &'static str);

const SANDBOX: &str = "allow it in the sandbox's seccomp filter, or use a newer kernel";

/// What libneap.so calls.
const HEAP: [Row; 7] = [
    ("mmap", Need::Needed, "there is no memory", SANDBOX),
    (
        "MAP_FIXED_NOREPLACE",
        Need::Optional,
        "each mapping is checked for its place instead",
        "use Linux 4.17 or newer",
    ),
    ("MADV_DONTNEED", Need::Needed, "no memory is given back", SANDBOX),
    (
        "mremap",
        Need::Optional,
        "realloc of blocks of 32 MiB and more copies them",
        SANDBOX,
    ),
    (
        "MREMAP_DONTUNMAP",
        Need::Optional,
        "growing a large block by its pages takes two calls, or a copy",
        "use Linux 5.7 or newer",
    ),
    (
        "brk",
        Need::Optional,
        "NEAP_BACKEND=brk takes its memory from mmap",
        SANDBOX,
    ),
    (
        "clone",
        Need::Optional,
        "no helper thread: an idle program gives nothing back until it calls malloc or free again",
        "allow clone(2) in the sandbox, raise the limit of processes, or set NEAP_HELPER=off if it kills",
    ),
];

/// Calls of other groups.
const ELSEWHERE: [&str; 1] = ["memfd_create"];

/// Tries every call. Prints a line for each: its place in the list and its errno.
pub(crate) fn attempt_from(first: usize) {
    let mut out = std::io::stdout().lock();
    for (index, attempt) in Attempt::all().enumerate().skip(first) {
        let answer = attempt.make();
        // The parent that has gone wants no more.
        if writeln!(out, "{index} {}", answer.errno())
            .and_then(|()| out.flush())
            .is_err()
        {
            return;
        }
    }
}

/// What came of every call.
pub(crate) fn answers() -> Answers {
    let attempts: Vec<Attempt> = Attempt::all().collect();
    let mut outcomes: Vec<Outcome> = Vec::new();
    while outcomes.len() < attempts.len() {
        let child = Command::new("/proc/self/exe")
            .args(["doctor", FROM_OPTION, &outcomes.len().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .output();
        let (status, text) = match child {
            Ok(output) => (
                output.status,
                String::from_utf8_lossy(&output.stdout).into_owned(),
            ),
            Err(error) => {
                let reason = format!("neap could not start itself to try it: {error}");
                outcomes.resize(attempts.len(), Outcome::Untried(reason));
                break;
            }
        };
        let before = outcomes.len();
        collect(&text, &mut outcomes);
        if outcomes.len() < attempts.len() {
            match status.signal() {
                Some(signal) => outcomes.push(Outcome::Killed(signal)),
                None if outcomes.len() == before => {
                    let reason = format!("the child that tries it ended with {status}");
                    outcomes.resize(attempts.len(), Outcome::Untried(reason));
                }
                None => {}
            }
        }
    }
    attempts.into_iter().zip(outcomes).collect()
}

/// Takes the lines that follow on what is known.
fn collect(text: &str, outcomes: &mut Vec<Outcome>) {
    for line in text.lines() {
        let Some((index, errno)) = line.split_once(' ') else {
            return;
        };
        match (index.parse::<usize>(), errno.parse()) {
            (Ok(index), Ok(errno)) if index == outcomes.len() => {
                outcomes.push(Outcome::Answered(Answer::from_errno(errno)));
            }
            _ => return,
        }
    }
}

/// A call as a check.
pub(crate) fn check(answers: &Answers, name: &str, need: Need) -> Check {
    let outcome = answers.iter().find(|(attempt, _)| attempt.name() == name);
    let (status, found) = match outcome.map(|(_, outcome)| outcome) {
        Some(Outcome::Answered(answer)) => (
            match answer {
                Answer::Works => Status::Ok,
                Answer::Missing(_) => Status::Missing,
                Answer::Denied(_) => Status::Denied,
                // What can be done without is there and finds no room.
                Answer::Failed(EAGAIN | ENOMEM) if need == Need::Optional => Status::Limited,
                Answer::Failed(_) => Status::Unknown,
            },
            answer.reason().unwrap_or_else(|| "works".to_owned()),
        ),
        Some(Outcome::Killed(signal)) => (Status::Denied, format!("killed by {}", signals::name(*signal))),
        Some(Outcome::Untried(reason)) => (Status::Unknown, reason.clone()),
        None => (Status::Unknown, "this neap does not know the call".to_owned()),
    };
    Check {
        need,
        ..Check::optional(name, status, found)
    }
}

/// What libneap.so calls.
pub(crate) fn heap_group(answers: &Answers) -> Group {
    let checks = HEAP
        .iter()
        .map(|(name, need, cost, mend)| check(answers, name, *need).costs(cost, mend))
        .collect();
    Group {
        name: "calls of the heap",
        checks,
    }
}

/// The others: the heap does without.
pub(crate) fn further_group(answers: &Answers) -> Group {
    let known = |name: &str| HEAP.iter().any(|row| row.0 == name) || ELSEWHERE.contains(&name);
    let checks = answers
        .iter()
        .filter(|(attempt, _)| !known(attempt.name()))
        .map(|(attempt, _)| {
            check(answers, attempt.name(), Need::Optional)
                .costs(NOTHING, "a newer kernel, another build of it, or a privilege")
        })
        .collect();
    Group {
        name: "further memory calls",
        checks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(outcome: &Outcome) -> Answers {
        Attempt::all().map(|attempt| (attempt, outcome.clone())).collect()
    }

    #[test]
    fn a_call_that_kills_or_was_not_tried_is_never_ok() {
        let status = |outcome| check(&answers(&outcome), "mmap", Need::Needed).status;
        assert_eq!(status(Outcome::Killed(31)), Status::Denied);
        assert_eq!(status(Outcome::Untried("x".into())), Status::Unknown);
        assert_eq!(status(Outcome::Answered(Answer::Denied(1))), Status::Denied);
        assert_eq!(status(Outcome::Answered(Answer::Failed(12))), Status::Unknown);
        assert_eq!(status(Outcome::Answered(Answer::Works)), Status::Ok);
        let clone = answers(&Outcome::Answered(Answer::Failed(EAGAIN)));
        assert_eq!(check(&clone, "clone", Need::Optional).status, Status::Limited);
    }

    #[test]
    fn every_call_named_here_is_one_that_can_be_tried() {
        let names: Vec<&str> = Attempt::all().map(Attempt::name).collect();
        for name in HEAP.iter().map(|row| row.0).chain(ELSEWHERE) {
            assert!(names.contains(&name), "{name}");
        }
        let all = answers(&Outcome::Answered(Answer::Works));
        let listed = heap_group(&all).checks.len() + further_group(&all).checks.len() + ELSEWHERE.len();
        assert_eq!(listed, names.len(), "each call is in one group");
    }

    #[test]
    fn lines_count_only_in_their_order() {
        let mut outcomes = Vec::new();
        collect("0 0\n1 22\n3 0\n", &mut outcomes);
        assert_eq!(outcomes.len(), 2);
        collect("2 1\n", &mut outcomes);
        assert_eq!(outcomes[2], Outcome::Answered(Answer::Denied(1)));
        collect("nonsense\n", &mut outcomes);
        assert_eq!(outcomes.len(), 3);
    }
}
