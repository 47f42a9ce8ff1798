//! How neap itself fails: one message, one exit code.

use std::fmt::Display;
use std::io::Write;

/// neap was called wrongly; clap exits with it, too.
pub(crate) const USAGE: u8 = 2;
/// A limit such as `--max-rss` was passed and the command itself succeeded.
pub(crate) const LIMIT_PASSED: u8 = 3;
/// `neap compare`: the command did not end the same way under every allocator.
pub(crate) const DIFFERS: u8 = 4;
/// A command ran into a time limit: the code of timeout(1).
pub(crate) const TIMED_OUT: u8 = 124;
/// neap failed at its own work.
pub(crate) const OWN: u8 = 125;
/// The command cannot run under libneap.so, or not at all.
pub(crate) const REFUSED: u8 = 126;
/// There is no such command.
pub(crate) const NOT_FOUND: u8 = 127;

/// What ends neap early.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl Failure {
    /// neap could not do its own work: `what` failed because of `cause`.
    pub(crate) fn own(what: impl Display, cause: impl Display) -> Failure {
        Failure {
            code: OWN,
            message: format!("{what}: {cause}"),
        }
    }

    /// Prints the message; a closed stderr is no reason to fail differently.
    pub(crate) fn print(&self) {
        let _ = writeln!(std::io::stderr(), "neap: {}", self.message);
    }
}
