//! The guardian: a process that changes settings of the system and restores them, whatever becomes of the
//! process that asked.
//!
//! It lives in a session of its own and leaves SIGINT, SIGTERM, SIGHUP and SIGQUIT alone, so that what ends
//! the other side, a Ctrl-C or a service manager, does not end it. It hears its orders on standard input:
//! `set NAME VALUE`, answered `ok OLD` or `no REASON`, and `restore`, answered `ok` or `no REASON`. The end
//! of the input means that the other side is gone, killed or not: it restores all and ends.
//!
//! Before each change it writes a journal. From the first change to the last restoring it holds a lock
//! (flock(2)), which the kernel lets go when it dies: a journal whose lock is free is that of a guardian that
//! was killed, and the next one restores by it. Two guardians never change settings at the same time.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::signal::{SigSet, Signal};

use super::setting::{Root, Setting};

/// The side that asks.
#[derive(Debug)]
pub(crate) struct Guardian {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Guardian {
    /// Starts one.
    pub(crate) fn start() -> io::Result<Guardian> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["lab", "--guard"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command.env_remove("LD_PRELOAD");
        let mut child = command.spawn()?;
        let orders = child.stdin.take();
        let answers = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Guardian {
            child,
            orders,
            answers: BufReader::new(answers),
        })
    }

    fn order(&mut self, line: &str) -> io::Result<String> {
        let orders = self.orders.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        orders.write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        match answer.trim_end_matches('\n').split_once(' ') {
            Some(("ok", text)) => Ok(text.to_owned()),
            Some((_, reason)) => Err(io::Error::other(reason.to_owned())),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Sets, and answers with what it was.
    pub(crate) fn set(&mut self, setting: Setting, value: &str) -> io::Result<String> {
        self.order(&format!("set {} {value}", setting.name()))
    }

    /// Restores everything.
    pub(crate) fn restore(&mut self) -> io::Result<()> {
        self.order("restore").map(|_| ())
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.wait();
    }
}

/// The guardian's own side: until its input ends.
pub(crate) fn main() {
    let _ = rustix::process::setsid();
    let mut ends = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        ends.add(signal);
    }
    let _ = ends.thread_block();
    let mut keeper = Keeper::new(Root::system(), Path::new(JOURNAL));
    // Somebody else's, or not ours to restore: a set will say so, if there is one.
    let _ = keeper.take_over().and_then(|()| keeper.restore());
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let answer = match line.split_once(' ') {
            Some(("set", order)) => keeper.set(order),
            _ if line == "restore" => keeper.restore().map(|()| String::new()),
            _ => Err(io::Error::other("no such order")),
        };
        let text = match answer {
            Ok(text) => format!("ok {text}\n"),
            Err(error) => format!("no {error}\n"),
        };
        if io::stdout()
            .write_all(text.as_bytes())
            .and_then(|()| io::stdout().flush())
            .is_err()
        {
            break;
        }
    }
    let _ = keeper.restore();
}

/// Whether somebody's changes wait to be restored, so that a guardian is needed even for nothing else.
pub(crate) fn is_needed() -> bool {
    Path::new(JOURNAL).exists()
}

/// Where changes that are not restored yet are written. In memory: a boot forgets settings and journal alike.
const JOURNAL: &str = "/run/neap-lab.restore";

/// One change: what, what it was, what it was set to.
type Change = (Setting, String, String);

/// What is changed, and the journal of it.
#[derive(Debug)]
struct Keeper {
    root: Root,
    journal: PathBuf,
    /// Held while there are changes.
    lock: Option<File>,
    changes: Vec<Change>,
}

impl Keeper {
    fn new(root: Root, journal: &Path) -> Keeper {
        Keeper {
            root,
            journal: journal.to_owned(),
            lock: None,
            changes: Vec::new(),
        }
    }

    /// Takes the lock, unless it is held already, and restores what a guardian that was killed has left.
    fn take_over(&mut self) -> io::Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.journal.with_extension("lock"))?;
        lock.try_lock()
            .map_err(|_| io::Error::other("another neap lab changes settings at this moment"))?;
        self.lock = Some(lock);
        self.changes = self.left_over();
        for (setting, old, value) in &self.changes {
            let name = setting.name();
            eprintln!("neap: {name} was left at {value} by a run that was killed; it is made {old} again");
        }
        self.undo()
    }

    fn set(&mut self, order: &str) -> io::Result<String> {
        let (name, value) = order.split_once(' ').ok_or(io::ErrorKind::InvalidInput)?;
        let setting = Setting::named(name).ok_or(io::ErrorKind::NotFound)?;
        self.take_over()?;
        let old = setting.now_in(&self.root)?;
        self.changes.push((setting, old.clone(), value.to_owned()));
        let changed = self.write().and_then(|()| setting.set(&self.root, value));
        if let Err(error) = changed {
            self.changes.pop();
            self.write()?;
            return Err(error);
        }
        Ok(old)
    }

    /// Restores all and lets others change settings. Without the lock there is nothing to restore: the
    /// journal is another's.
    fn restore(&mut self) -> io::Result<()> {
        if self.lock.is_none() {
            return Ok(());
        }
        let outcome = self.undo();
        if self.changes.is_empty() {
            self.lock = None;
        }
        outcome
    }

    /// Newest first. What cannot be restored stays in the journal.
    fn undo(&mut self) -> io::Result<()> {
        let mut stuck = Vec::new();
        let mut outcome = Ok(());
        while let Some((setting, old, value)) = self.changes.pop() {
            if let Err(error) = setting.restore(&self.root, &old, &value) {
                outcome = Err(io::Error::other(format!(
                    "{} could not be made {old} again: {error}",
                    setting.name()
                )));
                stuck.push((setting, old, value));
            }
        }
        stuck.reverse();
        self.changes = stuck;
        self.write()?;
        outcome
    }

    /// Writes the journal so that it is the old one or the new one at any time. An empty one is removed.
    fn write(&self) -> io::Result<()> {
        if self.changes.is_empty() {
            return match fs::remove_file(&self.journal) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let mut text = String::new();
        for (setting, old, value) in &self.changes {
            text.push_str(&format!("{}\t{old}\t{value}\n", setting.name()));
        }
        let new = self.journal.with_extension("new");
        fs::write(&new, text)?;
        fs::rename(&new, &self.journal)
    }

    fn left_over(&self) -> Vec<Change> {
        fs::read_to_string(&self.journal)
            .unwrap_or_default()
            .lines()
            .filter_map(|line| {
                let mut fields = line.split('\t');
                let setting = Setting::named(fields.next()?)?;
                Some((setting, fields.next()?.to_owned(), fields.next()?.to_owned()))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
