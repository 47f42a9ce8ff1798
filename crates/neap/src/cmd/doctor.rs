//! `neap doctor`: what this machine allows, what is missing, what it costs, how to mend it.
//!
//! Everything is tried, harmlessly: memory calls on pages of its own, in a child because a sandbox may kill for
//! them; a burst of 64 MiB under libneap.so, to see it fall.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::place::Place;
use crate::doctor::{self, burst, calls};
use crate::failure::Failure;
use crate::report::{self, Machine};

pub(crate) const ABOUT: &str = "Look at this machine: what neap needs, what is missing, how to mend it";
pub(crate) const LONG_ABOUT: &str = "\
Look at this machine: what neap needs, what is missing, how to mend it.

Looks for libneap.so and runs a burst under it, tries the memory calls, reads limits and settings. Each check is \
ok, limited, missing, denied or unknown; what is not ok says what it costs and how to mend it. Nothing is changed.";
pub(crate) const EXAMPLES: &str = "\
Examples:
  neap doctor
  neap doctor --json | jq .healthy
  docker run ... neap doctor           what a container forbids";
pub(crate) const AFTER_LONG_HELP: &str = "\
Exit codes:
  0      what neap needs is there
  1      something that neap needs is missing, denied or unknown
  2      neap was called wrongly
  125    neap itself failed

Environment:
  NEAP_LIB       the libneap.so to look at when --lib is not given
  NO_COLOR       no colours

Examples:
  neap doctor
  neap doctor --json | jq .healthy
  docker run ... neap doctor           what a container forbids";

/// Something that neap needs is not there.
const UNHEALTHY: u8 = 1;

#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Write the report as JSON (schema "neap.doctor/1") in place of text
    #[arg(long)]
    pub(crate) json: bool,

    /// Write the report to FILE in place of stdout
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,

    /// The libneap.so to look at [env: NEAP_LIB] [default: the one installed with neap]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) lib: Option<PathBuf>,

    /// Try the memory calls from the N-th on (neap does this in a child)
    #[arg(long, value_name = "N", hide = true)]
    pub(crate) attempts_from: Option<usize>,

    /// Make a burst (neap does this in a child)
    #[arg(long, hide = true)]
    pub(crate) burst: bool,
}

pub(crate) fn main(args: &DoctorArgs) -> Result<u8, Failure> {
    if let Some(first) = args.attempts_from {
        calls::attempt_from(first);
        return Ok(0);
    }
    if args.burst {
        burst::main();
        return Ok(0);
    }
    let mut place = Place::open(args.output.as_deref(), Place::Stdout)?;
    let examination = doctor::examine(args.lib.as_deref(), Machine::here().line());
    if args.json {
        place.deliver(&report::json::bytes(&examination))?;
    } else {
        let text = report::doctor::render(&examination, &place.screen());
        place.deliver(text.as_bytes())?;
    }
    Ok(if examination.healthy { 0 } else { UNHEALTHY })
}
