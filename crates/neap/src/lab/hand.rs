//! [`Hand`]: what an experiment has to work with, in its own process.
//!
//! Owns the talk with the observer, the process that started this one: it looks at `/proc` from outside, so
//! that looking does not allocate, fault or move the break here. [`Hand::look`] and [`Hand::watch`] allocate
//! nothing; [`Hand::expect`] and its kin do, so an experiment about the break looks first and judges later.
//!
//! The talk: lines to standard output, `look LABEL`, `watch LABEL BASE LEN`, `tell JSON`, `change NAME VALUE`;
//! after each but `tell` the observer answers with a byte on standard input, `.` done or `-` refused, and after
//! `look` with the numbers of a [`Seen`], too.

use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use neap_os::errno::Errno;
use neap_os::unit::Span;

use super::record::{Check, Event};
use super::setting::Setting;
use super::sight::{SEEN, Seen};

/// Why an experiment ends before its end.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) why: String,
    /// What would let it run.
    pub(crate) mend: String,
}

/// The experiment cannot be done here: why, and what would let it.
pub(crate) fn cannot(why: impl Display, mend: impl Display) -> Stop {
    Stop {
        why: why.to_string(),
        mend: mend.to_string(),
    }
}

/// A call that the experiment needs and that is not its subject failed.
pub(crate) fn failed(what: &str) -> impl FnOnce(Errno) -> Stop + '_ {
    move |errno| {
        cannot(
            format!("{what}: {errno}"),
            "see neap doctor for what this machine forbids",
        )
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Hand {
    scratch: PathBuf,
    kernel: (u32, u32),
    may_change: bool,
}

/// Bytes of one line of the talk.
const LINE: usize = 256;

/// A line that is put together without allocating.
struct Line {
    bytes: [u8; LINE],
    len: usize,
}

impl std::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.len + text.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

fn say(bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), rest) {
            Ok(done) => rest = &rest[done..],
            Err(rustix::io::Errno::INTR) => {}
            // The observer is gone: nobody wants to know any more.
            Err(_) => std::process::exit(1),
        }
    }
}

/// Says `line` and waits for the answer.
fn ask(arguments: std::fmt::Arguments<'_>) -> bool {
    let mut line = Line {
        bytes: [0; LINE],
        len: 0,
    };
    let fits = line.write_fmt(arguments).is_ok() && line.write_str("\n").is_ok();
    assert!(fits, "a line of the talk has at most {LINE} bytes");
    say(&line.bytes[..line.len]);
    let mut answer = [0];
    hear(&mut answer);
    answer == *b"."
}

/// Reads what the observer answers.
fn hear(answer: &mut [u8]) {
    let mut done = 0;
    while done < answer.len() {
        match rustix::io::read(rustix::stdio::stdin(), &mut answer[done..]) {
            Ok(more) if more > 0 => done += more,
            Err(rustix::io::Errno::INTR) => {}
            // The observer is gone.
            _ => std::process::exit(1),
        }
    }
}

impl Hand {
    pub(crate) const fn new(scratch: PathBuf, kernel: (u32, u32), may_change: bool) -> Hand {
        Hand {
            scratch,
            kernel,
            may_change,
        }
    }

    /// A folder of the experiment's own, removed when it has ended. On the file system of the temporary
    /// directory.
    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Whether the kernel is this one or newer.
    pub(crate) fn has_kernel(&self, major: u32, minor: u32) -> bool {
        self.kernel >= (major, minor)
    }

    /// Whether this process has the effective user 0.
    pub(crate) fn is_root(&self) -> bool {
        rustix::process::geteuid().is_root()
    }

    /// From the next look on, the pages and the flags of these addresses are looked at, too. `label` is a
    /// few words. Allocates nothing.
    pub(crate) fn watch(&mut self, label: &str, span: Span) {
        ask(format_args!("watch {label}\t{:x}\t{:x}", span.base(), span.len()));
    }

    /// Has the observer look at this process now, and answers with what the numbers are. Allocates nothing.
    pub(crate) fn look(&mut self, label: &str) -> Seen {
        ask(format_args!("look {label}"));
        let mut bytes = [0; SEEN];
        hear(&mut bytes);
        Seen::from_bytes(&bytes)
    }

    fn tell(&mut self, event: &Event) {
        let Ok(json) = serde_json::to_string(event) else {
            return;
        };
        say(format!("tell {json}\n").as_bytes());
    }

    /// What was expected, what was found, and whether that is what was expected.
    pub(crate) fn expect(&mut self, what: &str, expected: impl Display, found: impl Display, holds: bool) {
        self.tell(&Event::Check(Check {
            what: what.to_owned(),
            expected: expected.to_string(),
            found: found.to_string(),
            holds,
        }));
    }

    /// Found exactly what was expected.
    pub(crate) fn expect_eq<T: Display + PartialEq>(&mut self, what: &str, expected: T, found: T) {
        let holds = expected == found;
        self.expect(what, expected, found, holds);
    }

    /// Found a number that is at most `slack` away.
    pub(crate) fn expect_near(&mut self, what: &str, expected: u64, found: u64, slack: u64, unit: &str) {
        let holds = expected.abs_diff(found) <= slack;
        let expected = format!("{expected} {unit}, give or take {slack}");
        self.expect(what, expected, format!("{found} {unit}"), holds);
    }

    /// The call failed with this number.
    pub(crate) fn expect_errno<T>(&mut self, what: &str, errno: Errno, found: Result<T, Errno>) {
        let holds = found.as_ref().err() == Some(&errno);
        let name = |e: Errno| e.name().map_or_else(|| format!("errno {}", e.0), str::to_owned);
        let found = found.map_or_else(name, |_| "success".to_owned());
        self.expect(what, name(errno), found, holds);
    }

    /// The call succeeded. Answers with what it returned.
    pub(crate) fn expect_ok<T>(&mut self, what: &str, found: Result<T, Errno>) -> Option<T> {
        let text = match &found {
            Ok(_) => "success".to_owned(),
            Err(errno) => errno.to_string(),
        };
        self.expect(what, "success", text, found.is_ok());
        found.ok()
    }

    /// Something found of which nothing is expected.
    pub(crate) fn figure(&mut self, what: &str, found: impl Display) {
        self.tell(&Event::Figure {
            what: what.to_owned(),
            found: found.to_string(),
        });
    }

    /// Changes a setting of the system, if `--allow-system` was given. The observer restores it when the
    /// experiment has ended, however it ends.
    pub(crate) fn change(&mut self, setting: Setting, value: &str) -> Result<(), Stop> {
        if !self.may_change {
            let name = setting.name();
            return Err(cannot(
                format!("it changes {name}, and --allow-system was not given"),
                "run it as root with --allow-system: the setting is restored afterwards",
            ));
        }
        if ask(format_args!("change {}\t{value}", setting.name())) {
            return Ok(());
        }
        Err(cannot(
            format!("{} cannot be set to {value} here", setting.name()),
            "run it as root, outside a container",
        ))
    }
}

/// The experiment has ended: says how, and flushes.
pub(crate) fn conclude(outcome: Result<(), Stop>) {
    let text = match outcome {
        Ok(()) => "done\n".to_owned(),
        Err(stop) => {
            let both = [stop.why, stop.mend];
            format!("cannot {}\n", serde_json::to_string(&both).unwrap_or_default())
        }
    };
    say(text.as_bytes());
    let _ = io::stdout().flush();
}
