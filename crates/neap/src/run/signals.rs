//! Signals while a command runs: what reaches neap goes on to the command, once.
//!
//! Everything is blocked and read from a signalfd(2). A child inherits the mask, so it is lifted while the
//! command starts; a handler catches what arrives in that moment, and exec(2) undoes the handler. Signals
//! that neap was started to ignore have none, so that a nohup stays a nohup. The command shares neap's
//! process group: what a terminal sends, it gets directly.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

const FORWARDED: [Signal; 13] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGWINCH,
    Signal::SIGURG,
    Signal::SIGIO,
    Signal::SIGPWR,
];

/// The signals of this process, as a file.
pub(crate) struct Signals {
    file: SignalFd,
    /// The mask that neap was started with, which is the command's.
    inherited: SigSet,
    blocked: SigSet,
    caught: Vec<(i32, Arc<AtomicBool>)>,
}

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) number: i32,
    /// The sender; `None` when the kernel sent it, e.g. for a key at the terminal.
    pub(crate) sender: Option<u32>,
}

impl Signals {
    /// Blocks the signals for good. Must run before any thread is started and before the command is.
    pub(crate) fn block() -> io::Result<Signals> {
        let mut set: SigSet = FORWARDED.into_iter().collect();
        set.add(Signal::SIGCHLD);
        let inherited = set.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let ignored = ignored_signals();
        let mut caught = Vec::new();
        for number in FORWARDED
            .iter()
            .map(|&signal| signal as i32)
            .filter(|number| ignored >> (number - 1) & 1 == 0)
        {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(number, Arc::clone(&flag))?;
            caught.push((number, flag));
        }
        let file = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Signals {
            file,
            inherited,
            blocked: set,
            caught,
        })
    }

    /// Does `start` with the mask that the command is to have.
    pub(crate) fn lifted<T>(&self, start: impl FnOnce() -> T) -> io::Result<T> {
        self.inherited.thread_set_mask()?;
        let result = start();
        self.blocked.thread_block()?;
        Ok(result)
    }

    /// The next signal that arrived while the mask was lifted. Its sender is not known.
    pub(crate) fn next_caught(&self) -> Option<i32> {
        let caught = self
            .caught
            .iter()
            .find(|(_, flag)| flag.swap(false, Ordering::Relaxed));
        caught.map(|(number, _)| *number)
    }

    /// The next signal to consider forwarding. SIGCHLD only wakes the waiting loop.
    pub(crate) fn next(&self) -> Option<Arrived> {
        loop {
            let info = self.file.read_signal().ok().flatten()?;
            let number = i32::try_from(info.ssi_signo).ok()?;
            if number != Signal::SIGCHLD as i32 {
                // si_code is above 0 when the kernel is the sender.
                return Some(Arrived {
                    number,
                    sender: (info.ssi_code <= 0).then_some(info.ssi_pid),
                });
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Arrived {
    /// Whether the command must be sent it. A key at the terminal reached it already, and what the command
    /// or a descendant sends to its own process group must not come back to it.
    pub(crate) fn is_for_the_command(self, is_descendant: impl Fn(u32) -> bool) -> bool {
        self.sender
            .is_some_and(|sender| sender != std::process::id() && !is_descendant(sender))
    }
}

/// SigIgn of this process, bit n - 1 for signal n; none when it cannot be read.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// `SIGTERM` for 15.
pub(crate) fn name(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_the_commands_own_signals_are_not_sent_back() {
        let from = |sender| Arrived { number: 15, sender }.is_for_the_command(|pid| pid == 7);
        assert!(from(Some(1)));
        assert!(!from(None) && !from(Some(7)) && !from(Some(std::process::id())));
    }

    #[test]
    fn signals_have_names() {
        assert_eq!((name(15).as_str(), name(40).as_str()), ("SIGTERM", "signal 40"));
    }
}
