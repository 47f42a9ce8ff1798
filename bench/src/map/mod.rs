//! neap-map beside memmap2, rustix and plain reads and writes.
//!
//! Every contest's contenders run in turns in this process (or, where processes are what it is about, in
//! children of it), on one file of words in a folder of its own.

mod contest;
mod copy;
mod cost;
mod counter;
mod growth;
mod input;
mod random;
mod ring;
mod scan;
mod text;
pub(crate) mod verb;
mod window;

use contest::Contest;
use input::Input;

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effort {
    /// A sixteenth of the size, two rounds: does it work?
    Quick,
    /// As the targets are set.
    Full,
}

/// Every contest, by name.
fn contests(input: &Input) -> Result<Vec<Contest>, String> {
    let mut contests = Vec::new();
    contests.extend(scan::contests(input)?);
    contests.extend(random::contests(input)?);
    contests.extend(copy::contests(input)?);
    contests.extend(window::contests(input)?);
    contests.extend(ring::contests(input));
    contests.extend(growth::contests(input)?);
    contests.extend(counter::contests(input)?);
    contests.extend(cost::contests(input)?);
    Ok(contests)
}
