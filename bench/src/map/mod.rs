//! neap-map beside memmap2, rustix and plain reads and writes.
//!
//! Every contest's contenders run in turns in this process (or, where processes are what it is about, in
//! children of it), on one file of words in a folder of its own.

mod copy;
mod cost;
mod counter;
mod growth;
mod input;
mod random;
mod ring;
mod scan;
pub(crate) mod verb;
mod window;

use crate::contest::Contest;
use input::Input;
pub(crate) use input::evict;

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effort {
    /// A sixteenth of the size, two rounds: does it work?
    Quick,
    /// As the targets are set.
    Full,
}

/// Makes the contests of one part. What they map must be gone before the next part's are made: pages that are
/// mapped cannot be dropped from the cache.
type Part = fn(&Input) -> Result<Vec<Contest>, String>;

/// Every part, in order.
const PARTS: [Part; 8] = [
    scan::contests,
    random::contests,
    copy::contests,
    window::contests,
    |input| Ok(ring::contests(input)),
    growth::contests,
    counter::contests,
    cost::contests,
];
