//! Starts the command and collects whoever ends.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};

use neap_proc::read::Proc;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, wait};

use super::signals::Signals;
use super::target::Target;
use crate::failure::{Failure, NOT_FOUND, REFUSED};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Exited(i32),
    Killed { signal: i32 },
}

impl End {
    /// The code that a shell would give.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            End::Exited(code) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
            End::Killed { signal } => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }
}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> End {
        match status.code() {
            Some(code) => End::Exited(code),
            None => End::Killed {
                signal: status.signal().unwrap_or(0),
            },
        }
    }
}

/// A variable of the environment and its value; `None` takes it away.
pub(crate) type Variable = (&'static str, Option<OsString>);

/// Where the command reads from and writes to.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) stdin: Stdio,
    pub(crate) stdout: Stdio,
    pub(crate) stderr: Stdio,
}

impl Files {
    /// neap's own.
    pub(crate) fn inherited() -> Files {
        Files {
            stdin: Stdio::inherit(),
            stdout: Stdio::inherit(),
            stderr: Stdio::inherit(),
        }
    }
}

/// News of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Ended(u32, End),
    Stopped(u32),
}

/// The command, running.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Child {
    pub(crate) pid: u32,
    /// This process's own peak until the command had started. Linux carries it into the ru_maxrss of the child, so a
    /// smaller ru_maxrss says nothing about the command.
    pub(crate) maxrss_floor_bytes: u64,
}

/// Makes orphaned descendants children of this process, so that they can still be followed.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    set_child_subreaper(Some(getpid())).map_err(io::Error::from)
}

/// Starts the command with these variables set or removed.
pub(crate) fn start(
    target: &Target,
    environment: &[Variable],
    files: Files,
    signals: &Signals,
) -> Result<Child, Failure> {
    let mut command = Command::new(&target.program);
    let mut arguments = target.arguments.iter();
    if let Some(zeroth) = arguments.next() {
        command.arg0(zeroth);
    }
    command.args(arguments);
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .stdin(files.stdin)
        .stdout(files.stdout)
        .stderr(files.stderr);
    // 5 resets this process's high-water mark (proc(5)); where it cannot be, the floor is only higher.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let spawned = signals.lifted(|| command.spawn());
    let own = Proc::default().status(std::process::id()).value();
    let maxrss_floor_bytes = own
        .and_then(|status| status.resident_peak_bytes)
        .unwrap_or(u64::MAX);
    let child = spawned.and_then(|child| child).map_err(|error| {
        let code = if error.kind() == io::ErrorKind::NotFound {
            NOT_FOUND
        } else {
            REFUSED
        };
        Failure {
            code,
            message: format!("cannot start {}: {error}", target.program.display()),
        }
    })?;
    // The handle is dropped: whoever ends is collected by `news`, this child too.
    Ok(Child {
        pid: child.id(),
        maxrss_floor_bytes,
    })
}

impl Child {
    /// Sends a signal; a child that has ended needs none.
    pub(crate) fn signal(self, number: i32) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(number)) {
            let _ = kill_process(pid, signal);
        }
    }
}

/// Stops this process as the command has been stopped, so that a shell's job control sees one job.
pub(crate) fn stop_self() {
    let _ = kill_process(getpid(), Signal::STOP);
}

/// The next child that ended or stopped, without waiting. A child that ended is collected.
pub(crate) fn news() -> Option<News> {
    loop {
        let (pid, status) = wait(WaitOptions::NOHANG | WaitOptions::UNTRACED).ok().flatten()?;
        let pid = u32::try_from(pid.as_raw_pid()).ok()?;
        if let Some(code) = status.exit_status() {
            return Some(News::Ended(pid, End::Exited(code)));
        }
        if let Some(signal) = status.terminating_signal() {
            return Some(News::Ended(pid, End::Killed { signal }));
        }
        if status.stopped() {
            return Some(News::Stopped(pid));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(End::Exited(7).exit_code(), 7);
        assert_eq!(End::Killed { signal: 15 }.exit_code(), 143);
    }
}
