//! `neap trim`: has processes under libneap.so give back what is free in their heaps, now.
//!
//! libneap.so gives memory back by itself within some 50 ms, but what a thread keeps ready for its own next blocks only
//! that thread can put down, and one that sleeps does not. This asks each of them.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::place::Place;
use crate::failure::{Failure, OWN, REFUSED};
use crate::heap::{self, Why};
use crate::report::trim::{Process, Trim};
use crate::report::{self};

pub(crate) const ABOUT: &str = "Have processes under libneap.so give back what is free in their heaps";
pub(crate) const LONG_ABOUT: &str = "\
Have processes under libneap.so give back what is free in their heaps, now.

The program need not do anything: each of its threads is stopped for some microseconds where it waits in a \
system call, puts down what it keeps ready for its own next blocks, and goes on as if nothing had been. One of \
them then gives back all that is free. A thread that runs is tried again for a second and then left as it is. \
It works for Rust programs whose global allocator is neap_heap::Neap, too.";
pub(crate) const EXAMPLES: &str = "\
Examples:
  neap trim 4711
  neap trim $(pgrep -f my-service)
  neap trim --json 4711 | jq '.processes[0].after.resident_bytes'";
pub(crate) const AFTER_LONG_HELP: &str = "\
Exit codes:
  0      every process gave back all that was free in its heap
  1      in some process no thread could be stopped in time: each of them
         runs, or is in the heap; nothing went there
  2      neap was called wrongly
  125    some process could not be asked: it has ended, it may not be traced
         (same user and kernel.yama.ptrace_scope=0, or CAP_SYS_PTRACE), it
         is traced already, or neap itself failed
  126    some process does not run under libneap.so, or under one that is
         too old or too new

  Of several the worst: 125, then 126, then 1.

Environment:
  NO_COLOR       no colours

Examples:
  neap trim 4711
  neap trim $(pgrep -f my-service)
  neap trim --json 4711 | jq '.processes[0].after.resident_bytes'

What the lines mean, and what the program may notice: docs/trim.md";

/// No thread of a process could be stopped.
const NOTHING_WENT: u8 = 1;

#[derive(Args, Debug)]
pub(crate) struct TrimArgs {
    /// Write what went as JSON (schema "neap.trim/1") in place of text
    #[arg(long)]
    pub(crate) json: bool,

    /// Write to FILE in place of stdout
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,

    /// The processes
    #[arg(required = true, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pids: Vec<u32>,
}

pub(crate) fn main(args: &TrimArgs) -> Result<u8, Failure> {
    let mut place = Place::open(args.output.as_deref(), Place::Stdout)?;
    let mut code = 0;
    let mut processes = Vec::new();
    for &pid in &args.pids {
        let name = name(pid);
        let result = heap::give_back(pid);
        code = worse(code, code_of(&result));
        if let (Err(why), false) = (&result, args.json) {
            let name = report::text::printable(&name);
            Failure {
                code,
                message: format!("process {pid} ({name}): {why}"),
            }
            .print();
        }
        processes.push(Process::new(pid, name, result));
    }
    let trim = Trim::new(processes);
    if args.json {
        place.deliver(&report::json::bytes(&trim))?;
    } else {
        place.deliver(report::trim::render(&trim, &place.screen()).as_bytes())?;
    }
    Ok(code)
}

fn name(pid: u32) -> String {
    let proc = neap_proc::read::Proc::default();
    proc.stat(pid).value().map_or_else(String::new, |stat| stat.comm)
}

fn code_of(result: &Result<heap::GaveBack, Why>) -> u8 {
    match result {
        Ok(gave) if gave.complete => 0,
        Ok(_) => NOTHING_WENT,
        Err(Why::NotThere | Why::Version(_)) => REFUSED,
        Err(Why::Denied(_) | Why::Gone | Why::Failed(_)) => OWN,
    }
}

fn worse(one: u8, other: u8) -> u8 {
    let rank = |code| match code {
        OWN => 3,
        REFUSED => 2,
        NOTHING_WENT => 1,
        _ => 0,
    };
    if rank(other) > rank(one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_code_stays() {
        assert_eq!([0, REFUSED, 1].into_iter().fold(0, worse), REFUSED);
        assert_eq!([OWN, REFUSED, 0].into_iter().fold(0, worse), OWN);
        assert_eq!([0, 1].into_iter().fold(0, worse), 1);
    }
}
