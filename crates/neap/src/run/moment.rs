//! What the memory of all processes consists of at some moments: at the start, near the peak, near the end.
//!
//! A moment is every process's smaps, and what the records of its heap say of every page. It costs tens of
//! milliseconds per GiB, so moments are taken when the RSS has grown by a tenth beyond the last peak or moved
//! by an eighth, and at intervals that double up to half a second. All together they may cost 2 % of a CPU
//! and what [`CREDIT`] says. A peak that stands still, and what stays when most of it has gone, is worth all
//! of that; from others, whose memory would change under the look, as much as the next peak may need is kept
//! back. Kept are three: the first of the program that the command became (exec(2) starts anew), the one
//! nearest to the peak, and the newest. No process is stopped: mappings may change while they are read, and
//! the sums say by how much they differ from what the kernel counted just before.

use std::fs;
use std::rc::Rc;
use std::time::Duration;

use neap_abi::Snapshot;
use neap_proc::model::{Known, Space};
use neap_proc::read::Proc;
use neap_proc::{Reading, Reason};

use super::board::Board;
use super::nanos;
use super::tree::{Process, Tree};
use crate::heap::{Inside, Survey, Why};

/// All moments may cost one part in this many of the time since the start.
const COST_DIVISOR: u64 = 50;
/// What they may cost besides: for programs that end before their peak could be afforded.
const CREDIT: Duration = Duration::from_millis(30);
/// Time to the second moment; doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// The first moment is taken again, as long as the program is no older, until its heap is there.
const START_NS: u64 = 50_000_000;
/// Processes looked into at one moment, the largest ones; of the rest only the RSS is summed up.
const MEMBERS_MAX: usize = 64;

/// One look at everything.
#[derive(Debug)]
pub(crate) struct Moment {
    pub(crate) at_ns: u64,
    /// What the kernel counted for all processes just before, by statm.
    pub(crate) rss_bytes: u64,
    /// The largest ones, largest first.
    pub(crate) members: Vec<Member>,
    /// Processes not looked into, and their RSS.
    pub(crate) left_out: u64,
    pub(crate) left_out_rss_bytes: u64,
    /// RSS of processes that ended while they were looked at; they are no members.
    pub(crate) ended_rss_bytes: u64,
}

/// One process of a moment.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) pid: u32,
    pub(crate) command: Vec<String>,
    /// By statm, just before.
    pub(crate) rss_bytes: u64,
    pub(crate) space: Reading<Space>,
    /// The newest page of the board; `None`: it has taken none.
    pub(crate) counters: Option<Box<Snapshot>>,
    /// Its heap, page by page.
    pub(crate) heap: Result<Survey, Why>,
}

/// The moments that are kept, and when the next is due.
#[derive(Debug)]
pub(crate) struct Moments {
    proc: Proc,
    /// The command's process.
    main: u32,
    pub(crate) first: Option<Rc<Moment>>,
    pub(crate) peak: Option<Rc<Moment>>,
    pub(crate) last: Option<Rc<Moment>>,
    pub(crate) taken: u64,
    /// CPU time that all of them took.
    pub(crate) cost: Duration,
    /// Size of the main program's code when `first` was taken: another after exec(2).
    code_bytes: Option<u64>,
    born_ns: u64,
    pause: Duration,
    due_ns: u64,
    /// When it was last asked whether one is due.
    rss_before_bytes: u64,
    /// CPU time that the newest took.
    last_cost: Duration,
    /// CPU time of those that had to be taken, at the start of a program: nothing is held back for it.
    start_cost: Duration,
    starting: bool,
}

impl Moments {
    pub(crate) fn new(proc: Proc, main: u32) -> Moments {
        Moments {
            proc,
            main,
            first: None,
            peak: None,
            last: None,
            taken: 0,
            cost: Duration::ZERO,
            code_bytes: None,
            born_ns: 0,
            pause: PAUSE_FIRST,
            due_ns: 0,
            rss_before_bytes: 0,
            last_cost: Duration::ZERO,
            start_cost: Duration::ZERO,
            starting: false,
        }
    }

    /// Whether one should be taken of a tree that was just read.
    pub(crate) fn is_due(&mut self, tree: &Tree, board: &Board, now_ns: u64) -> bool {
        let rss_bytes = tree.rss_bytes();
        let stands_still = rss_bytes.abs_diff(self.rss_before_bytes) <= rss_bytes / 128;
        self.rss_before_bytes = rss_bytes;
        if rss_bytes == 0 {
            return false;
        }
        if self.is_another_program(tree) || self.is_still_starting(tree, board, now_ns) {
            return true;
        }
        let rss_of = |moment: &Option<Rc<Moment>>| moment.as_ref().map_or(0, |moment| moment.rss_bytes);
        let (peak, last) = (rss_of(&self.peak), rss_of(&self.last));
        // A look at less than the last one costs less: at the least an eighth.
        let cost_ns = match last {
            0 => nanos(self.last_cost),
            last => nanos(self.last_cost) / 8 * (rss_bytes.saturating_mul(8) / last).clamp(1, 8),
        };
        let fallen = rss_bytes < last / 2;
        let grown = rss_bytes > peak.saturating_add(peak / 10);
        let moved = rss_bytes.abs_diff(last) > peak / 8;
        // Looks of this cost that there has to be time for afterwards, and how much of the credit may be
        // used.
        let (kept_back, credit) = match (stands_still, grown || fallen) {
            (true, true) => (0, CREDIT),
            (false, true) if grown => (3, CREDIT / 2),
            (true, false) => (1, CREDIT / 4),
            (false, _) => (5, CREDIT / 4),
        };
        let spent_ns = nanos(self.cost.saturating_sub(self.start_cost));
        let room_ns = (nanos(credit) + now_ns / COST_DIVISOR).saturating_sub(spent_ns);
        let wanted = grown || moved || now_ns >= self.due_ns;
        // A look at more than the last one may cost more than there is room for, and the next ones wait for
        // it.
        wanted && room_ns >= cost_ns.saturating_mul(1 + kept_back)
    }

    fn code_bytes(&self, tree: &Tree) -> Option<u64> {
        tree.living()
            .find(|process| process.pid == self.main)
            .and_then(Process::code_bytes)
    }

    fn is_another_program(&self, tree: &Tree) -> bool {
        let code = self.code_bytes(tree);
        code.is_some() && code != self.code_bytes
    }

    /// The first moment shows no heap, and now there is one.
    fn is_still_starting(&self, tree: &Tree, board: &Board, now_ns: u64) -> bool {
        let had_heap = |moment: &Rc<Moment>| {
            let mut members = moment.members.iter();
            members.any(|member| member.pid == self.main && member.counters.is_some())
        };
        let main = tree.living().find(|process| process.pid == self.main);
        now_ns.saturating_sub(self.born_ns) < START_NS
            && self.first.as_ref().is_some_and(|first| !had_heap(first))
            && main.is_some_and(|main| board.newest(main.pid_inside).is_some())
    }

    /// Takes one.
    pub(crate) fn take(&mut self, tree: &Tree, board: &Board, now_ns: u64) {
        let another = self.is_another_program(tree);
        let again = another || self.is_still_starting(tree, board, now_ns);
        let moment = Rc::new(look(&self.proc, tree, board, now_ns));
        if another {
            (self.code_bytes, self.born_ns) = (self.code_bytes(tree), now_ns);
        }
        self.taken += 1;
        self.starting = again;
        if moment.has_hole() {
            return;
        }
        if again {
            self.first = Some(Rc::clone(&moment));
        }
        if self
            .peak
            .as_ref()
            .is_none_or(|peak| peak.rss_bytes <= moment.rss_bytes)
        {
            self.peak = Some(Rc::clone(&moment));
        }
        self.last = Some(moment);
    }

    /// The one just taken took `cost` of CPU time.
    pub(crate) fn account(&mut self, now_ns: u64, cost: Duration) {
        self.cost = self.cost.saturating_add(cost);
        self.last_cost = cost;
        if self.starting {
            self.start_cost = self.start_cost.saturating_add(cost);
        }
        self.due_ns = now_ns.saturating_add(nanos(self.pause));
        self.pause = self.pause.saturating_mul(2).min(PAUSE_MAX);
    }
}

fn look(proc: &Proc, tree: &Tree, board: &Board, now_ns: u64) -> Moment {
    let mut owners: Vec<&Process> = tree.living().filter(|process| process.owns_memory()).collect();
    owners.sort_by_key(|process| std::cmp::Reverse(process.rss_bytes()));
    let rest = owners.split_off(owners.len().min(MEMBERS_MAX));
    let left_out_rss_bytes = rest.iter().map(|process| process.rss_bytes()).sum();
    let mut moment = Moment {
        at_ns: now_ns,
        rss_bytes: tree.rss_bytes(),
        members: Vec::with_capacity(owners.len()),
        left_out: u64::try_from(rest.len()).unwrap_or(u64::MAX),
        left_out_rss_bytes,
        ended_rss_bytes: 0,
    };
    for process in owners {
        let member = member(proc, process, board);
        if member.has_ended() {
            moment.ended_rss_bytes += process.rss_bytes();
        } else {
            moment.members.push(member);
        }
    }
    moment
}

impl Moment {
    /// So much ended under the look that what is left is another picture.
    fn has_hole(&self) -> bool {
        self.members.is_empty() || self.ended_rss_bytes > self.rss_bytes / 8
    }
}

impl Member {
    /// It ended while it was looked at, or became a zombie.
    fn has_ended(&self) -> bool {
        matches!(self.space, Reading::Absent(Reason::Gone | Reason::NoMemory))
            || matches!(self.heap, Err(Why::Gone))
    }
}

fn member(proc: &Proc, process: &Process, board: &Board) -> Member {
    let inside = Inside::find(proc, process.pid);
    let spans = inside.as_ref().map_err(Clone::clone).and_then(Inside::spans);
    let rss_bytes = proc.statm(process.pid).value().map(|sizes| sizes.resident_bytes);
    let space = proc.smaps(process.pid).map(|smaps| {
        let known = Known {
            program: fs::read_link(format!("/proc/{}/exe", process.pid))
                .ok()
                .map(|path| path.to_string_lossy().into_owned()),
            neap: spans
                .iter()
                .flatten()
                .map(|span| span.addresses.clone())
                .collect(),
        };
        Space::new(smaps, &known)
    });
    Member {
        pid: process.pid,
        command: process.command.clone(),
        rss_bytes: rss_bytes.unwrap_or_else(|| process.rss_bytes()),
        space,
        counters: board.newest(process.pid_inside).cloned().map(Box::new),
        heap: inside.and_then(|inside| inside.survey()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment_of_nobody() -> Moment {
        Moment {
            at_ns: 0,
            rss_bytes: 0,
            members: Vec::new(),
            left_out: 0,
            left_out_rss_bytes: 0,
            ended_rss_bytes: 0,
        }
    }

    #[test]
    fn a_child_is_looked_at_and_the_next_look_has_to_be_afforded() {
        let proc = Proc::default();
        let mut tree = Tree::new(proc.clone(), std::process::id());
        let board = Board::new().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        while std::fs::read(format!("/proc/{}/cmdline", child.id()))
            .unwrap()
            .is_empty()
        {
            std::thread::yield_now();
        }
        let mut moments = Moments::new(proc, child.id());
        assert!(!moments.is_due(&tree, &board, 1), "nobody is there");
        tree.read(2);
        assert!(moments.is_due(&tree, &board, 2));
        moments.take(&tree, &board, 2);
        // Its part of the credit is used up by 4 ms: 2 % of the time have to make up for it, and for one
        // kept back.
        let cost = CREDIT / 4 + Duration::from_millis(4);
        moments.starting = false;
        moments.account(2, cost);
        let room = |looks: u64| 50 * (nanos(cost) * looks + 4_000_000);
        assert!(!moments.is_due(&tree, &board, room(2) - 50));
        assert!(moments.is_due(&tree, &board, room(2)));
        // What stays when most has gone is seen at once, for it costs little.
        let last = moments.last.clone();
        let peak = Moment {
            rss_bytes: 1 << 40,
            ..moment_of_nobody()
        };
        moments.last = Some(Rc::new(peak));
        moments.cost = CREDIT - cost / 8;
        assert!(moments.is_due(&tree, &board, 2));
        moments.cost = CREDIT;
        assert!(!moments.is_due(&tree, &board, 2));
        moments.last = last;
        moments.last_cost = Duration::ZERO;
        moments.cost = Duration::ZERO;
        assert!(
            !moments.is_due(&tree, &board, 9_000_000),
            "nothing moved, and it is early"
        );
        assert!(moments.is_due(&tree, &board, 10_000_002));
        child.kill().unwrap();
        child.wait().unwrap();
        let first = Rc::clone(moments.first.as_ref().unwrap());
        let first_at = |moment: &Option<Rc<Moment>>| moment.as_ref().map(|moment| moment.at_ns);
        assert_eq!(first_at(&moments.first), Some(2));
        let member = first.members.iter().find(|member| member.pid == child.id());
        let space = member.unwrap().space.as_value().unwrap();
        assert!(space.total().len_bytes > 0 && moments.taken == 1);
        assert!(Rc::ptr_eq(&first, moments.last.as_ref().unwrap()));
        // The tree was read before it ended.
        let moment = look(&moments.proc, &tree, &board, 3);
        assert!(moment.members.iter().all(|member| member.pid != child.id()));
        assert!(moment.ended_rss_bytes > 0);
        let hole = |ended_rss_bytes| Moment {
            rss_bytes: 800,
            ended_rss_bytes,
            members: vec![super::member(
                &Proc::default(),
                &tree.living().next().unwrap().clone(),
                &board,
            )],
            ..moment_of_nobody()
        };
        assert!(!hole(100).has_hole() && hole(101).has_hole() && moment_of_nobody().has_hole());
    }
}
