//! Stays while files are locked: until a signal, for a time, or as long as a command runs.
//!
//! SIGINT, SIGTERM, SIGHUP and SIGQUIT end the stay, and that is no failure. While a command runs, what is
//! sent to neap goes on to it; what the terminal sends it gets itself. In the background there is no
//! terminal: the process is started anew with a session of its own, because locks are not inherited by a
//! child of a fork.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, kill_process, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdout};

use crate::failure::{Failure, NOT_FOUND, REFUSED};
use crate::run::signals::Signals;

/// What ends a stay by itself.
const ENDING: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];
/// Follows the report of a process in the background: it stays.
const READY: u8 = 0;

/// Waits for a signal, at most so long.
pub(crate) fn wait(signals: &Signals, most: Option<Duration>) -> io::Result<()> {
    let start = Instant::now();
    loop {
        while let Some(arrived) = signals.next() {
            if ENDING.iter().any(|&signal| signal as i32 == arrived.number) {
                return Ok(());
            }
            if arrived.number == Signal::SIGTSTP as i32 {
                kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
            }
        }
        let left = most.map(|most| most.saturating_sub(start.elapsed()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(());
        }
        sleep(signals, left)?;
    }
}

/// Runs a command and waits for its end.
///
/// # Errors
/// It could not be started.
pub(crate) fn during(signals: &Signals, command: &[OsString]) -> Result<ExitStatus, Failure> {
    let own = |error: io::Error| Failure::own("waiting for the command", error);
    let Some((program, arguments)) = command.split_first() else {
        return Err(Failure::own("the command", "it has no name"));
    };
    let started = signals.lifted(|| Command::new(program).args(arguments).spawn());
    let mut child = started.and_then(|child| child).map_err(|error| Failure {
        code: if error.kind() == io::ErrorKind::NotFound {
            NOT_FOUND
        } else {
            REFUSED
        },
        message: format!("{}: {error}", program.to_string_lossy()),
    })?;
    loop {
        if let Some(status) = child.try_wait().map_err(own)? {
            return Ok(status);
        }
        while let Some(arrived) = signals.next() {
            let target = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let signal = rustix::process::Signal::from_named_raw(arrived.number);
            // Without a sender it came from the terminal, which sends to the whole group.
            if let (Some(_), Some(target), Some(signal)) = (arrived.sender, target, signal) {
                let _ = kill_process(target, signal);
            }
        }
        sleep(signals, None).map_err(own)?;
    }
}

fn sleep(signals: &Signals, most: Option<Duration>) -> io::Result<()> {
    let timeout = most.and_then(|most| Timespec::try_from(most).ok());
    let mut files = [PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
    match poll(&mut files, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A file with this process's number, which goes when this value does.
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Written as a new file; one that a process which is no more has left is replaced.
    ///
    /// # Errors
    /// The process in it is running, or it cannot be written.
    pub(crate) fn new(path: &Path) -> Result<PidFile, Failure> {
        let failed = |error: io::Error| Failure::own(path.display(), error);
        // In the background the working folder changes.
        let path = &std::path::absolute(path).map_err(failed)?;
        if let Ok(text) = fs::read_to_string(path) {
            let pid = text.trim().parse::<u32>().ok();
            if let Some(pid) = pid.filter(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
                return Err(Failure::own(
                    path.display(),
                    format!("process {pid} is running; end it: kill {pid}"),
                ));
            }
            fs::remove_file(path).map_err(failed)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(PidFile(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Starts this program again with `arguments` in the background, and passes its report on until it stays or
/// ends. Returns the exit code for this process.
///
/// # Errors
/// It could not be started.
pub(crate) fn start_in_background(arguments: &[OsString]) -> Result<u8, Failure> {
    let failed = |error: io::Error| Failure::own("starting in the background", error);
    // By its name, so that it is called neap; by the link when the file was replaced meanwhile.
    let program = std::env::current_exe().ok().filter(|path| path.is_file());
    let mut child = Command::new(program.unwrap_or_else(|| PathBuf::from("/proc/self/exe")))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut report = Vec::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_end(&mut report).map_err(failed)?;
    }
    let stays = report.last() == Some(&READY);
    if stays {
        report.pop();
    }
    match io::stdout().write_all(&report) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(failed(error)),
        _ => {}
    }
    if stays {
        return Ok(0);
    }
    let status = child.wait().map_err(failed)?;
    Ok(crate::run::child::End::from(status).exit_code())
}

/// In the background: a session of its own.
pub(crate) fn leave_terminal() -> io::Result<()> {
    setsid()?;
    Ok(())
}

/// In the background, once everything is locked: says so, and lets go of the files of whoever started it.
pub(crate) fn detach() -> io::Result<()> {
    io::stdout().write_all(&[READY])?;
    io::stdout().flush()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    std::env::set_current_dir("/")
}
