//! Conducts experiments: one process for each, looked at from outside, with limits of time and memory.
//!
//! Owns the other side of [`super::hand`]'s talk. An experiment that does not end in time, or takes more memory
//! than it may, is killed with its children, and its settings are restored.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::experiment::{Experiment, Under};
use super::guardian::Guardian;
use super::record::{Event, Run, Trial, Verdict};
use super::setting::Setting;
use super::sight::Observer;
use crate::failure::Failure;

/// How long one experiment may take.
const TIME_MAX: Duration = Duration::from_secs(60);
/// How much memory one experiment and its children may have, at most.
pub(crate) const MEMORY_MAX: u64 = 3 << 30;
/// How often the memory is looked at.
const TICK: Duration = Duration::from_millis(50);
/// Bytes of standard error that are kept.
const ERROR_MAX: u64 = 4096;

/// What all experiments of a run have in common.
pub(crate) struct Conductor {
    /// The libneap.so that experiments about malloc run under, or why there is none.
    pub(crate) library: Result<PathBuf, String>,
    pub(crate) may_change: bool,
    guardian: Option<Guardian>,
    kernel: (u32, u32),
}

/// How the talk with an experiment ended.
enum End {
    Done,
    Cannot {
        why: String,
        mend: String,
    },
    /// Not by its own word.
    Broken(String),
}

impl Conductor {
    /// Restores what an earlier run may have left, whatever this one does.
    pub(crate) fn new(library: Result<PathBuf, String>, may_change: bool) -> Result<Conductor, Failure> {
        let is_needed = may_change || super::guardian::is_needed();
        let guardian = is_needed.then(Guardian::start).transpose().map_err(|error| {
            Failure::own("the process that restores settings could not be started", error)
        })?;
        Ok(Conductor {
            library,
            may_change,
            guardian,
            kernel: kernel(),
        })
    }

    /// Conducts one experiment, under each malloc that it is about.
    pub(crate) fn conduct(&mut self, experiment: &'static Experiment) -> Trial {
        let runs = match experiment.under {
            Under::Plain => vec![self.run(experiment, "glibc", None)],
            Under::Both => {
                let plain = self.run(experiment, "glibc", None);
                let neap = match self.library.clone() {
                    Ok(library) => self.run(experiment, "neap", Some(&library)),
                    Err(why) => Run {
                        malloc: "neap".to_owned(),
                        verdict: Verdict::CannotRun {
                            why,
                            mend: "name it with --lib, or build it: cargo xtask build".to_owned(),
                        },
                        events: Vec::new(),
                    },
                };
                vec![plain, neap]
            }
        };
        Trial::of(experiment, runs)
    }

    fn run(&mut self, experiment: &'static Experiment, malloc: &str, library: Option<&Path>) -> Run {
        let mut events = Vec::new();
        let verdict = match experiment.since {
            Some(since) if self.kernel < since => Verdict::CannotRun {
                why: format!(
                    "it needs Linux {}.{}, this is {}.{}",
                    since.0, since.1, self.kernel.0, self.kernel.1
                ),
                mend: "a newer kernel".to_owned(),
            },
            _ => match self.perform(experiment, library, &mut events) {
                Ok(end) => verdict(end, &events),
                Err(error) => Verdict::CannotRun {
                    why: format!("its process could not be started: {error}"),
                    mend: "see the limits of processes and files: neap doctor".to_owned(),
                },
            },
        };
        let verdict = match self.guardian.as_mut().map(Guardian::restore) {
            Some(Err(error)) => Verdict::Differs {
                how: vec![format!("a setting was not restored: {error}")],
            },
            _ => verdict,
        };
        Run {
            malloc: malloc.to_owned(),
            verdict,
            events,
        }
    }

    fn perform(
        &mut self,
        experiment: &'static Experiment,
        library: Option<&Path>,
        events: &mut Vec<Event>,
    ) -> io::Result<End> {
        let scratch = Scratch::new(experiment.name)?;
        let mut command = Command::new(env::current_exe()?);
        command
            .args(["lab", "--perform", experiment.name, "--scratch"])
            .arg(&scratch.0);
        if self.may_change {
            command.arg("--allow-system");
        }
        command.env_remove("LD_PRELOAD");
        for (name, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"NEAP_")) {
            command.env_remove(name);
        }
        if let Some(library) = library {
            command.env("LD_PRELOAD", library);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = Stage {
            child: command.spawn()?,
            was_stopped: false,
        };
        let (stdin, lines, errors) = child.pipes()?;
        let end = self.listen(&mut child, stdin, &lines, events);
        child.clear();
        let status = child.child.wait()?;
        let mut said = String::new();
        let _ = errors.take(ERROR_MAX).read_to_string(&mut said);
        Ok(match end {
            End::Broken(_) if status.signal().is_some() && !child.was_stopped => End::Broken(format!(
                "its process was ended by signal {}",
                status.signal().unwrap_or(0)
            )),
            End::Broken(why) if !said.trim().is_empty() => End::Broken(format!("{why}: {}", said.trim())),
            end => end,
        })
    }

    /// The talk, until it ends.
    fn listen(
        &mut self,
        child: &mut Stage,
        mut stdin: ChildStdin,
        lines: &Receiver<String>,
        events: &mut Vec<Event>,
    ) -> End {
        let mut observer = Observer::of(child.child.id());
        let limit = Instant::now() + TIME_MAX;
        loop {
            let line = match lines.recv_timeout(TICK) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => {
                    return End::Broken("its process ended without a word".to_owned());
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() > limit => {
                    child.stop();
                    return End::Broken(format!("it took longer than {} seconds", TIME_MAX.as_secs()));
                }
                Err(RecvTimeoutError::Timeout) => {
                    if resident(child.child.id()) > MEMORY_MAX {
                        child.stop();
                        return End::Broken(format!("it took more than {} MiB of memory", MEMORY_MAX >> 20));
                    }
                    continue;
                }
            };
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let answer = match word {
                "look" => {
                    let sight = observer.look(rest);
                    let mut answer = vec![b'.'];
                    answer.extend(sight.to_bytes());
                    events.push(Event::Look(Box::new(sight)));
                    answer
                }
                "watch" => {
                    let fields: Vec<&str> = rest.split('\t').collect();
                    let hex = |at: usize| {
                        fields
                            .get(at)
                            .and_then(|text| u64::from_str_radix(text, 16).ok())
                            .unwrap_or(0)
                    };
                    observer.watch(fields.first().unwrap_or(&""), hex(1), hex(2));
                    vec![b'.']
                }
                "change" => vec![self.change(rest, events)],
                "tell" => {
                    match serde_json::from_str(rest) {
                        Ok(event) => events.push(event),
                        Err(error) => {
                            return End::Broken(format!("its process said what is no event: {error}"));
                        }
                    }
                    continue;
                }
                "done" => return End::Done,
                "cannot" => {
                    let [why, mend] = serde_json::from_str(rest).unwrap_or_default();
                    return End::Cannot { why, mend };
                }
                _ => return End::Broken(format!("its process said `{line}`")),
            };
            if stdin.write_all(&answer).is_err() {
                return End::Broken("its process ended without a word".to_owned());
            }
        }
    }

    fn change(&mut self, order: &str, events: &mut Vec<Event>) -> u8 {
        let known = order
            .split_once('\t')
            .and_then(|(name, value)| Some((Setting::named(name)?, value)));
        let (Some((setting, value)), Some(guardian)) = (known, self.guardian.as_mut()) else {
            return b'-';
        };
        match guardian.set(setting, value) {
            Ok(from) => {
                events.push(Event::Changed {
                    what: setting.name().to_owned(),
                    from,
                    to: value.to_owned(),
                });
                b'.'
            }
            Err(_) => b'-',
        }
    }
}

/// The process of an experiment. Its group goes with it.
struct Stage {
    child: Child,
    /// Stopped from here, because of a limit.
    was_stopped: bool,
}

impl Stage {
    /// Its standard input, the lines it says, what it says to standard error.
    fn pipes(&mut self) -> io::Result<(ChildStdin, Receiver<String>, ChildStderr)> {
        let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
        let stdin = self.child.stdin.take().ok_or_else(missing)?;
        let stdout = self.child.stdout.take().ok_or_else(missing)?;
        let stderr = self.child.stderr.take().ok_or_else(missing)?;
        let (sender, lines) = mpsc::channel();
        // Ends when the last process that holds the pipe has ended, or nobody listens any more.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok((stdin, lines, stderr))
    }

    /// Kills it and its children.
    fn stop(&mut self) {
        self.was_stopped = true;
        self.clear();
    }

    /// Kills what is left of its group.
    fn clear(&mut self) {
        if let Some(group) = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.clear();
        let _ = self.child.wait();
    }
}

/// A folder that goes when the experiment has ended.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> io::Result<Scratch> {
        let folder = env::temp_dir().join(format!("neap-lab-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Scratch(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn verdict(end: End, events: &[Event]) -> Verdict {
    let checks = || {
        events.iter().filter_map(|event| match event {
            Event::Check(check) => Some(check),
            _ => None,
        })
    };
    let mut how: Vec<String> = checks()
        .filter(|check| !check.holds)
        .map(|check| {
            format!(
                "{}: expected {}, found {}",
                check.what, check.expected, check.found
            )
        })
        .collect();
    match end {
        End::Broken(why) => how.push(why),
        End::Cannot { why, mend } if how.is_empty() => return Verdict::CannotRun { why, mend },
        End::Done if checks().next().is_none() => how.push("it checked nothing".to_owned()),
        End::Done | End::Cannot { .. } => {}
    }
    if how.is_empty() {
        Verdict::Confirmed
    } else {
        Verdict::Differs { how }
    }
}

/// Resident bytes of a process; 0 when it has none any more.
fn resident(pid: u32) -> u64 {
    neap_proc::read::Proc::default()
        .statm(pid)
        .value()
        .map_or(0, |statm| statm.resident_bytes)
}

/// Major and minor version of the running kernel.
pub(crate) fn kernel() -> (u32, u32) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
