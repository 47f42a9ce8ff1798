//! The engine of `neap run`: one command, followed to its end. `neap compare` uses its parts.
//!
//! One thread waits for a signal or the next reading, whichever comes first. Nothing here prints.

pub(crate) mod elf;
pub(crate) mod lookup;
mod refusal;

pub(crate) mod library;
mod script;

pub(crate) mod target;

pub(crate) mod board;
pub(crate) mod signals;

pub(crate) mod child;

pub(crate) mod tree;

pub(crate) mod work;

pub(crate) mod series;

pub(crate) mod sampler;

pub(crate) mod moment;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use neap_proc::read::Proc;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::failure::Failure;
use board::Board;
use child::{Child, End, Files, News, Variable};
use library::Library;
use moment::Moments;
use refusal::Refusal;
use sampler::{Passed, Sampler};
use signals::Signals;
use target::{Force, Target};
use tree::Tree;

/// What to run and how to look at it.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) command: &'a [OsString],
    pub(crate) library: Option<&'a Path>,
    pub(crate) backend: Option<&'static str>,
    pub(crate) interval: Duration,
    pub(crate) limit_bytes: Option<u64>,
    pub(crate) until: Until,
    pub(crate) force: Force,
    pub(crate) depth: Depth,
}

/// How closely to look, which is also what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// Sizes over time.
    Sizes,
    /// Faults and memory calls over time as well.
    Work,
    /// What the memory consists of at the start, near the peak and near the end as well.
    Moments,
}

/// When the report is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    CommandEnded,
    LastDescendantEnded,
}

/// A plan that was found possible.
#[derive(Debug)]
pub(crate) struct Ready {
    library: Library,
    target: Target,
}

/// Everything that was seen.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) library: PathBuf,
    pub(crate) wall_ns: u64,
    pub(crate) pid: u32,
    pub(crate) end: End,
    pub(crate) spent: Spent,
    pub(crate) sampler: Sampler,
    pub(crate) tree: Tree,
    pub(crate) board: Board,
    /// `None`: nobody asked.
    pub(crate) moments: Option<Moments>,
}

/// Everything that looks at the processes.
struct Watch {
    sampler: Sampler,
    tree: Tree,
    board: Board,
    moments: Option<Moments>,
}

/// What the kernel counted for all processes that ended and were collected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    pub(crate) user_ns: u64,
    pub(crate) system_ns: u64,
    pub(crate) minor_faults: u64,
    pub(crate) major_faults: u64,
    /// ru_maxrss: the peak of the largest process; `None` when it may be neap's own.
    pub(crate) rss_peak_bytes: Option<u64>,
    /// When it may be neap's own: no process was larger than this.
    pub(crate) rss_below_bytes: Option<u64>,
}

impl Plan<'_> {
    /// Finds the library and judges the command. Starts nothing.
    pub(crate) fn prepare(&self) -> Result<Ready, Failure> {
        // A command that is not there is told before a library that is not: the more likely slip.
        let name = self.command.first().map(OsString::as_os_str).unwrap_or_default();
        if let Err(missing) = lookup::find(name) {
            return Err(target::no_file(&name.to_string_lossy(), missing).into());
        }
        let library = Library::find(self.library)?;
        let target = target::inspect(self.command, &library.elf, self.force).map_err(Refusal::or_forced)?;
        Ok(Ready { library, target })
    }

    /// Runs the command to its end.
    pub(crate) fn execute(&self, ready: Ready) -> Result<Outcome, Failure> {
        let signals = Signals::block().map_err(|error| Failure::own("signalfd", error))?;
        let board = Board::new().map_err(|error| Failure::own("the board (memfd_create)", error))?;
        child::adopt_orphans().map_err(|error| Failure::own("prctl(PR_SET_CHILD_SUBREAPER)", error))?;
        let proc = Proc::default();
        let tree = Tree::new(proc.clone(), std::process::id());
        let sampler = Sampler::new(proc.clone(), self.interval, self.limit_bytes);
        let before = spent(None)?;
        let environment = self.environment(&ready.library, &board);
        let start = Instant::now();
        let child = child::start(&ready.target, &environment, Files::inherited(), &signals)?;
        let mut watch = Watch {
            sampler: if self.depth >= Depth::Work {
                sampler.with_work()
            } else {
                sampler
            },
            tree,
            board,
            moments: (self.depth >= Depth::Moments).then(|| Moments::new(proc, child.pid)),
        };
        let (end, wall_ns) = self.follow(child, start, &signals, &mut watch)?;
        let Watch {
            mut sampler,
            mut tree,
            mut board,
            moments,
        } = watch;
        tree.walk(since(start));
        board.refresh_all();
        let spent = spent(Some((before, child)))?;
        let mark = spent.rss_peak_bytes.unwrap_or(0).max(tree.rss_peak_bytes());
        if sampler.passed.is_none() && self.limit_bytes.is_some_and(|limit| mark > limit) {
            sampler.passed = Some(Passed {
                at_ns: None,
                rss_bytes: mark,
            });
        }
        Ok(Outcome {
            library: ready.library.path,
            wall_ns,
            pid: child.pid,
            end,
            spent,
            sampler,
            tree,
            board,
            moments,
        })
    }

    fn environment(&self, library: &Library, board: &Board) -> Vec<Variable> {
        let mut variables = vec![
            ("LD_PRELOAD", Some(library.preload())),
            (neap_abi::ENV_BOARD, Some(OsString::from(board.name()))),
        ];
        variables.extend(
            self.backend
                .map(|name| ("NEAP_BACKEND", Some(OsString::from(name)))),
        );
        variables
    }

    /// Waits, forwards signals and takes readings until the report is due.
    fn follow(
        &self,
        child: Child,
        start: Instant,
        signals: &Signals,
        watch: &mut Watch,
    ) -> Result<(End, u64), Failure> {
        let mut ended = None;
        let mut due = Duration::ZERO;
        while let Some(number) = signals.next_caught() {
            child.signal(number);
        }
        loop {
            let now = start.elapsed();
            if now >= due {
                let before = cpu_time();
                self.read(child, start, watch);
                due = now + watch.sampler.pause(cpu_time().saturating_sub(before));
                watch.read_pss(start);
                watch.take_moment(start);
            }
            while let Some(arrived) = signals.next() {
                if arrived.is_for_the_command(|pid| pid == child.pid || watch.tree.is_living(pid)) {
                    child.signal(arrived.number);
                }
            }
            while let Some(news) = child::news() {
                match news {
                    News::Ended(pid, end) => {
                        if pid == child.pid && ended.is_none() {
                            ended = Some((end, since(start)));
                        }
                        watch.tree.ended(pid, end);
                    }
                    News::Stopped(pid) if pid == child.pid => child::stop_self(),
                    News::Stopped(_) => {}
                }
            }
            if let Some(done) = ended {
                if self.until == Until::CommandEnded {
                    return Ok(done);
                }
                watch.tree.walk(since(start));
                if watch.tree.living().next().is_none() {
                    return Ok((done.0, since(start)));
                }
            }
            wait_for_signal(signals, due.saturating_sub(start.elapsed()))?;
        }
    }

    fn read(&self, child: Child, start: Instant, watch: &mut Watch) {
        watch.tree.read(since(start));
        // A last reading without the command would pass for what it left.
        if self.until == Until::LastDescendantEnded || watch.tree.has_memory(child.pid) {
            watch.sampler.read(&watch.tree, &mut watch.board, since(start));
        }
    }
}

impl Watch {
    fn read_pss(&mut self, start: Instant) {
        let now = since(start);
        if self.sampler.pss_is_due(now) {
            let before = cpu_time();
            self.sampler.read_pss(&self.tree, now);
            self.sampler.schedule_pss(now, cpu_time().saturating_sub(before));
        }
    }

    fn take_moment(&mut self, start: Instant) {
        let now = since(start);
        if let Some(moments) = &mut self.moments
            && moments.is_due(&self.tree, &self.board, now)
        {
            let before = cpu_time();
            moments.take(&self.tree, &self.board, now);
            moments.account(now, cpu_time().saturating_sub(before));
        }
    }
}

impl Ready {
    /// What libneap.so will not see.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.target.warnings
    }
}

/// What this thread has worked. On a busy machine a reading takes long and still costs little.
pub(crate) fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Sleeps until a signal arrives, for `longest` at most.
fn wait_for_signal(signals: &Signals, longest: Duration) -> Result<(), Failure> {
    let timeout = Timespec {
        tv_sec: i64::try_from(longest.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(longest.subsec_nanos()),
    };
    let mut files = [PollFd::new(signals, PollFlags::IN)];
    match poll(&mut files, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(Failure::own("poll", error)),
    }
}

/// The counts of collected children, less what they were before the command started.
pub(crate) fn spent(since: Option<(Spent, Child)>) -> Result<Spent, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| Failure::own("getrusage", error))?;
    let now = Spent::from(usage);
    let Some((before, child)) = since else {
        return Ok(now);
    };
    let earlier = before.rss_peak_bytes.unwrap_or(0);
    let own = |peak: &u64| *peak <= child.maxrss_floor_bytes.max(earlier);
    let (rss_peak_bytes, rss_below_bytes) = (
        now.rss_peak_bytes.filter(|peak| !own(peak)),
        now.rss_peak_bytes.filter(own),
    );
    Ok(Spent {
        user_ns: now.user_ns.saturating_sub(before.user_ns),
        system_ns: now.system_ns.saturating_sub(before.system_ns),
        minor_faults: now.minor_faults.saturating_sub(before.minor_faults),
        major_faults: now.major_faults.saturating_sub(before.major_faults),
        rss_peak_bytes,
        rss_below_bytes,
    })
}

impl From<Usage> for Spent {
    fn from(usage: Usage) -> Spent {
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        Spent {
            user_ns: count(usage.user_time().num_nanoseconds()),
            system_ns: count(usage.system_time().num_nanoseconds()),
            minor_faults: count(usage.minor_page_faults()),
            major_faults: count(usage.major_page_faults()),
            rss_peak_bytes: count(usage.max_rss()).checked_mul(1024),
            rss_below_bytes: None,
        }
    }
}

/// Nanoseconds since `start`.
pub(crate) fn since(start: Instant) -> u64 {
    nanos(start.elapsed())
}

/// A duration in nanoseconds.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
