//! A thread that is traced, and the stops it makes.
//!
//! Owns ptrace(2) as it is needed here: PTRACE_SEIZE and what follows from it. Signals are numbers: there are more of
//! them than have names.

use std::time::{Duration, Instant};

use neap_proc::trace::{self, Then};
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, waitpid};

use super::registers::Registers;

/// Threads too, not only the processes' first ones (wait4(2)).
const WALL: u32 = 0x4000_0000;
const SIGTRAP: u32 = 5;
/// What PTRACE_O_TRACESYSGOOD adds to SIGTRAP.
const AT_CALL: u32 = 0x80;
const PTRACE_EVENT_STOP: u32 = 128;

/// Why a thread has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A system call begins or ends.
    Call,
    /// It was asked to.
    Asked,
    /// A stop signal stops its whole process.
    Group,
    /// A signal is about to be delivered.
    Signal(u32),
    /// Something that does not matter here.
    Other,
}

/// What waiting for a stop can end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    Stopped(Stop),
    /// Not in time.
    Late,
    /// The thread has ended.
    Ended,
}

/// A thread that this one traces. Dropped, it is let go if it is stopped; if not, when this thread ends.
pub(super) struct Traced(u32);

impl Traced {
    /// Begins to trace thread `tid`, which runs on.
    pub(super) fn seize(tid: u32) -> nix::Result<Traced> {
        ptrace::seize(pid(tid), Options::PTRACE_O_TRACESYSGOOD)?;
        Ok(Traced(tid))
    }

    /// Has it stop at the next opportunity: at once, if it waits in a call that can be interrupted.
    pub(super) fn interrupt(&self) -> nix::Result<()> {
        ptrace::interrupt(pid(self.0))
    }

    pub(super) fn registers(&self) -> nix::Result<Registers> {
        ptrace::getregs(pid(self.0)).map(Registers)
    }

    pub(super) fn set_registers(&self, registers: &Registers) -> nix::Result<()> {
        ptrace::setregs(pid(self.0), registers.0)
    }

    /// Lets it go on, with `signal` if that is not 0.
    pub(super) fn resume(&self, then: Then, signal: u32) -> nix::Result<()> {
        trace::resume(self.0, then, signal).map_err(|errno| Errno::from_raw(errno.0))
    }

    /// Waits for its next stop, until `end`.
    pub(super) fn wait(&self, end: Instant) -> Waited {
        let mut turns = 0_u32;
        loop {
            let options = WaitOptions::NOHANG | WaitOptions::from_bits_retain(WALL);
            match waitpid(rustix::process::Pid::from_raw(pid(self.0).as_raw()), options) {
                Ok(None) => {}
                Ok(Some((_, status))) => match stop_of(status.as_raw().cast_unsigned()) {
                    Some(stop) => return Waited::Stopped(stop),
                    None => return Waited::Ended,
                },
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return Waited::Ended,
            }
            if Instant::now() >= end {
                return Waited::Late;
            }
            turns += 1;
            // Most stops come at once.
            if turns < 200 {
                std::thread::yield_now();
            } else {
                std::thread::sleep(Duration::from_micros(u64::from(turns).min(1000)));
            }
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = trace::resume(self.0, Then::IsFree, 0);
    }
}

fn pid(tid: u32) -> Pid {
    Pid::from_raw(i32::try_from(tid).unwrap_or(0))
}

/// What a status of wait(2) says; `None`: the thread has ended.
fn stop_of(status: u32) -> Option<Stop> {
    if status & 0xff != 0x7f {
        return None;
    }
    let (signal, event) = (status >> 8 & 0xff, status >> 16);
    Some(match (event, signal) {
        (PTRACE_EVENT_STOP, SIGTRAP) => Stop::Asked,
        (PTRACE_EVENT_STOP, _) => Stop::Group,
        (0, signal) if signal == SIGTRAP | AT_CALL => Stop::Call,
        (0, signal) => Stop::Signal(signal),
        _ => Stop::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_why_a_thread_has_stopped() {
        let stops = [0x00_857f, 0x80_057f, 0x80_137f, 0x00_227f, 0x03_057f].map(stop_of);
        let wanted = [
            Stop::Call,
            Stop::Asked,
            Stop::Group,
            Stop::Signal(34),
            Stop::Other,
        ];
        assert_eq!(stops, wanted.map(Some));
        assert_eq!([stop_of(0), stop_of(0x0b), stop_of(0x100)], [None; 3]);
    }
}
