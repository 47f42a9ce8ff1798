//! One run of the command under one allocator, followed to its end.
//!
//! As `neap run` follows one, without a board: what the heap counts costs time that the others do not
//! spend. Standard input is empty, standard output and error are pipes. What outlives the command is
//! ended, so that it does not disturb the next run.

use std::process::Stdio;
use std::time::{Duration, Instant};

use neap_proc::read::Proc;
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, kill_process};

use super::allocators::Contestant;
use super::output::{Pass, Stream, Written};
use super::presence::{Lookout, Presence};
use crate::failure::Failure;
use crate::run::board::Board;
use crate::run::child::{self, Child, End, Files, News};
use crate::run::sampler::Sampler;
use crate::run::series::Point;
use crate::run::signals::Signals;
use crate::run::target::Target;
use crate::run::tree::Tree;
use crate::run::{Spent, cpu_time, since, spent};

/// How long a process has between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// How often to look while processes are being ended.
const STOPPING_PAUSE: Duration = Duration::from_millis(10);
/// Pieces taken from each pipe between two looks at the clock.
const PIECES: usize = 4;
/// Points of a run's curve that are kept: more than a picture has columns.
const POINTS_MAX: usize = 600;
/// Readings of a run below which its curve says nothing.
pub(crate) const READINGS_MIN: u64 = 5;

/// The same for every run.
pub(crate) struct Conditions<'a> {
    pub(crate) target: &'a Target,
    pub(crate) signals: &'a Signals,
    pub(crate) interval: Duration,
    pub(crate) timeout: Option<Duration>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself.
    Ended(End),
    /// `--timeout` ended it.
    TimedOut,
    /// The user ended it, with this signal.
    Interrupted(i32),
}

/// What was seen of a run.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) ending: Ending,
    pub(crate) wall_ns: u64,
    /// Of all processes that were collected.
    pub(crate) spent: Spent,
    /// The greatest sum over the tree that was read.
    pub(crate) rss_tree_peak_bytes: Option<u64>,
    /// The peak of the largest single process: ru_maxrss when it is above neap's own, or VmHWM as last read.
    pub(crate) rss_process_peak_bytes: Option<u64>,
    /// The last reading while the command lived.
    pub(crate) rss_end_bytes: Option<u64>,
    /// The mean over time.
    pub(crate) rss_mean_bytes: Option<u64>,
    pub(crate) readings: u64,
    pub(crate) points: Vec<Point>,
    pub(crate) stdout: Written,
    pub(crate) stderr: Written,
    pub(crate) presence: Presence,
    /// Descendants that outlived the command and were ended.
    pub(crate) leftover: u64,
    /// Some of them that could not be.
    pub(crate) stuck: u64,
}

/// A run that goes on.
struct Follower<'a> {
    conditions: &'a Conditions<'a>,
    child: Child,
    start: Instant,
    sampler: Sampler,
    tree: Tree,
    lookout: Lookout,
    board: Board,
    streams: [Stream; 2],
    maxrss_bytes: u64,
    /// Why the run is being ended, and since when.
    stopping: Option<(Ending, Instant)>,
}

/// Runs the command once.
pub(crate) fn run(
    conditions: &Conditions<'_>,
    contestant: &Contestant,
    passes: [Pass; 2],
) -> Result<Trial, Failure> {
    let pipe = |error| Failure::own("pipe", error);
    let (stdout, to_stdout) = Stream::new(passes[0]).map_err(pipe)?;
    let (stderr, to_stderr) = Stream::new(passes[1]).map_err(pipe)?;
    let proc = Proc::default();
    let tree = Tree::new(proc.clone(), std::process::id());
    let before = spent(None)?;
    let environment = [
        ("LD_PRELOAD", contestant.preload.clone()),
        (neap_abi::ENV_BOARD, None),
    ];
    let files = Files {
        stdin: Stdio::null(),
        stdout: to_stdout,
        stderr: to_stderr,
    };
    let start = Instant::now();
    let child = child::start(conditions.target, &environment, files, conditions.signals)?;
    let mut follower = Follower {
        conditions,
        child,
        start,
        sampler: Sampler::new(proc, conditions.interval, None),
        tree,
        lookout: Lookout::new(contestant.library.as_deref()),
        board: Board::new().map_err(|error| Failure::own("memfd_create", error))?,
        streams: [stdout, stderr],
        maxrss_bytes: 0,
        stopping: None,
    };
    let (end, wall_ns) = follower.follow()?;
    let (leftover, stuck) = follower.end_leftover()?;
    let spent = spent(Some((before, child)))?;
    let trial = follower.finish(end, wall_ns, spent);
    Ok(Trial {
        leftover,
        stuck,
        ..trial
    })
}

impl Follower<'_> {
    /// Waits, reads and empties the pipes until the command has ended.
    fn follow(&mut self) -> Result<(End, u64), Failure> {
        let proc = Proc::default();
        let mut due = Duration::ZERO;
        loop {
            let now = self.start.elapsed();
            if now >= due {
                let before = cpu_time();
                self.tree.read(since(self.start));
                if self.tree.has_memory(self.child.pid) {
                    self.sampler.read(&self.tree, &mut self.board, since(self.start));
                    self.lookout.look(&proc, &self.tree, since(self.start));
                }
                due = now + self.sampler.pause(cpu_time().saturating_sub(before));
            }
            for stream in &mut self.streams {
                stream.take(PIECES);
            }
            self.hear();
            if let Some(ended) = self.collect() {
                return Ok((ended, since(self.start)));
            }
            self.stop_if_due();
            let next = self.next_event(due);
            self.wait(next)?;
        }
    }

    /// Signals that came: those that end a program end the run, others go on to the command.
    fn hear(&mut self) {
        while let Some(number) = self.conditions.signals.next_caught() {
            self.child.signal(number);
            self.stop_for(number);
        }
        while let Some(arrived) = self.conditions.signals.next() {
            if arrived.is_for_the_command(|pid| pid == self.child.pid || self.tree.is_living(pid)) {
                self.child.signal(arrived.number);
            }
            if arrived.number == Signal::SIGTSTP as i32 {
                child::stop_self();
            }
            self.stop_for(arrived.number);
        }
    }

    fn stop_for(&mut self, number: i32) {
        let ends = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];
        if ends.iter().any(|&signal| signal as i32 == number) {
            self.stop(Ending::Interrupted(number));
        }
    }

    fn stop(&mut self, why: Ending) {
        if self.stopping.is_none() {
            self.stopping = Some((why, Instant::now()));
            self.tree.walk(since(self.start));
            send_all(&self.tree, Signal::SIGTERM);
        }
    }

    fn stop_if_due(&mut self) {
        if self
            .conditions
            .timeout
            .is_some_and(|limit| self.start.elapsed() >= limit)
        {
            self.stop(Ending::TimedOut);
        }
        if self.stopping.is_some_and(|(_, when)| when.elapsed() >= GRACE) {
            self.tree.walk(since(self.start));
            send_all(&self.tree, Signal::SIGKILL);
        }
    }

    /// Collects children that ended; the command's end when it is one of them.
    fn collect(&mut self) -> Option<End> {
        let own = std::process::id();
        let orphans: Vec<u32> = self
            .tree
            .living()
            .filter(|process| process.parent == own && process.pid != self.child.pid)
            .map(|process| process.pid)
            .collect();
        for pid in orphans {
            if let Some(end) = self.reap(pid) {
                self.tree.ended(pid, end);
            }
        }
        let end = self.reap(self.child.pid)?;
        self.tree.ended(self.child.pid, end);
        Some(end)
    }

    fn reap(&mut self, pid: u32) -> Option<End> {
        let used = wait4::try_wait4_pid(pid).ok().flatten()?;
        self.maxrss_bytes = self.maxrss_bytes.max(used.rusage.maxrss);
        Some(End::from(used.status))
    }

    fn next_event(&self, due: Duration) -> Duration {
        let mut next = due.saturating_sub(self.start.elapsed());
        match (self.stopping, self.conditions.timeout) {
            (Some(_), _) => next = next.min(STOPPING_PAUSE),
            (None, Some(limit)) => next = next.min(limit.saturating_sub(self.start.elapsed())),
            (None, None) => {}
        }
        next
    }

    fn wait(&self, longest: Duration) -> Result<(), Failure> {
        let timeout = Timespec {
            tv_sec: i64::try_from(longest.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(longest.subsec_nanos()),
        };
        let mut files = vec![PollFd::new(self.conditions.signals, PollFlags::IN)];
        let open = self.streams.iter().filter(|stream| stream.is_open());
        files.extend(open.map(|stream| PollFd::new(stream, PollFlags::IN)));
        match poll(&mut files, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(Failure::own("poll", error)),
        }
    }

    /// Ends what outlived the command: SIGTERM, and SIGKILL after a while. Says how many there were, and how
    /// many are still there (another user's, or asleep in the kernel).
    fn end_leftover(&mut self) -> Result<(u64, u64), Failure> {
        self.tree.walk(since(self.start));
        let leftover = self
            .tree
            .living()
            .filter(|process| !is_zombie(process.pid))
            .count();
        let begun = Instant::now();
        let mut signal = Signal::SIGTERM;
        while self.tree.living().next().is_some() {
            send_all(&self.tree, signal);
            self.wait(STOPPING_PAUSE)?;
            for stream in &mut self.streams {
                stream.take(PIECES);
            }
            self.hear();
            while let Some(news) = child::news() {
                if let News::Ended(pid, end) = news {
                    self.tree.ended(pid, end);
                }
            }
            self.tree.walk(since(self.start));
            if begun.elapsed() >= GRACE {
                signal = Signal::SIGKILL;
            }
            if begun.elapsed() >= GRACE * 3 {
                break;
            }
        }
        let count = |number| u64::try_from(number).unwrap_or(u64::MAX);
        Ok((count(leftover), count(self.tree.living().count())))
    }

    fn finish(self, end: End, wall_ns: u64, spent: Spent) -> Trial {
        let [mut stdout, stderr] = self.streams.map(Stream::finish);
        // Of its output only the hash is of use.
        stdout.tail.clear();
        let mark = Some(self.maxrss_bytes).filter(|&peak| peak > self.child.maxrss_floor_bytes);
        let read = Some(self.tree.rss_peak_bytes()).filter(|&peak| peak > 0);
        let enough = self.sampler.readings >= READINGS_MIN;
        let rss_mean_bytes = mean(self.sampler.series.points(), wall_ns).filter(|_| enough);
        let points = if enough {
            self.sampler.series.reduced(POINTS_MAX)
        } else {
            Vec::new()
        };
        Trial {
            ending: self.stopping.map_or(Ending::Ended(end), |(why, _)| why),
            wall_ns,
            spent,
            rss_tree_peak_bytes: self.sampler.rss_peak.map(|(peak, _)| peak).filter(|_| enough),
            // What was read of a run that was hardly seen is no peak of it.
            rss_process_peak_bytes: mark.max(read.filter(|_| enough)),
            rss_end_bytes: self.sampler.rss_last_bytes.value().filter(|_| enough),
            rss_mean_bytes,
            readings: self.sampler.readings,
            points,
            stdout,
            stderr,
            presence: self.lookout.finish(),
            leftover: 0,
            stuck: 0,
        }
    }
}

fn is_zombie(pid: u32) -> bool {
    let stat = Proc::default().stat(pid).value();
    stat.is_some_and(|stat| stat.state == neap_proc::parse::State::Zombie)
}

fn send_all(tree: &Tree, signal: Signal) {
    let signal = rustix::process::Signal::from_named_raw(signal as i32);
    for process in tree.living() {
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
        if let (Some(pid), Some(signal)) = (pid, signal) {
            let _ = kill_process(pid, signal);
        }
    }
}

/// Each reading holds until the next, the last until the end.
fn mean(points: &[Point], end_ns: u64) -> Option<u64> {
    let first = points.first()?;
    let ends = points.iter().skip(1).map(|point| point.at_ns).chain([end_ns]);
    let area: u128 = points
        .iter()
        .zip(ends)
        .map(|(point, end)| u128::from(point.rss_bytes) * u128::from(end.saturating_sub(point.at_ns)))
        .sum();
    let span = u128::from(end_ns.saturating_sub(first.at_ns));
    u64::try_from(area.checked_div(span)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_weighted_by_time() {
        let point = |at_ns, rss_bytes| Point {
            at_ns,
            rss_bytes,
            ..Point::default()
        };
        let points = [point(10, 100), point(20, 400), point(30, 0)];
        assert_eq!(mean(&points, 110), Some(50));
        assert_eq!(mean(&points[..1], 10), None, "no time, no mean");
        assert_eq!(mean(&[], 5), None);
    }
}
