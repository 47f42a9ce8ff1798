//! One process, read again and again until it ends.
//!
//! The cheap files are read at each interval; smaps, which costs milliseconds for each GiB, as often as 2 %
//! of a processor allow. A process that has ended, or whose pid is another process now, is read no more;
//! what was last known of it stays.

use neap_abi::Snapshot;
use neap_proc::model::{Footprint, Kind, Known, Process, ProcessTable, Processes, Space};
use neap_proc::parse::{SmapsField, State};
use neap_proc::read::{Host, Proc};
use neap_proc::{Reading, Reason};

use super::budget::{COST_DIVISOR, measured};
use super::heap_figures::HeapFigures;
use super::history::{History, KINDS, Point};
use super::machine::MachineMemory;
use super::row::Row;
use crate::heap::{Inside, Survey, Why};
use crate::users::Users;

/// Mappings of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KindUse {
    pub(crate) kind: Kind,
    pub(crate) mappings: u64,
    /// Their addresses.
    pub(crate) mapped_bytes: u64,
    pub(crate) resident_bytes: Reading<u64>,
    pub(crate) proportional_bytes: Reading<u64>,
    pub(crate) swap_bytes: Reading<u64>,
}

/// Mappings of one kind that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) kind: Kind,
    pub(crate) mapped_bytes: u64,
    pub(crate) resident_bytes: u64,
}

/// The address space when it was last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpaceUse {
    /// When, since the watching began.
    pub(crate) at_ns: u64,
    /// Those that there are, in the order of [`Kind::ALL`].
    pub(crate) kinds: Vec<KindUse>,
    /// In the order of addresses.
    pub(crate) stretches: Vec<Stretch>,
}

/// What is shown of the process.
#[derive(Clone, Debug)]
pub(crate) struct ProcessPicture {
    pub(crate) machine: MachineMemory,
    /// With PSS, USS and swap of the same reading of smaps as `space`.
    pub(crate) row: Row,
    /// Time since its start.
    pub(crate) age_ns: Reading<u64>,
    /// CPU time since its start.
    pub(crate) cpu_ns: u64,
    /// Or why there is none.
    pub(crate) space: Result<SpaceUse, String>,
    pub(crate) history: History,
    /// What libneap.so counts, or why there is nothing.
    pub(crate) heap: Result<HeapFigures, String>,
    /// Since the watching began.
    pub(crate) at_ns: u64,
    /// It ended between this time and the reading before.
    pub(crate) ended: bool,
}

/// Reads one process.
pub(crate) struct Follower {
    host: Host,
    processes: Processes,
    users: Users,
    pid: u32,
    first: Process,
    began_ns: u64,
    before: ProcessTable,
    inside: Result<Inside, Why>,
    /// The heap's pages, looked at together with smaps.
    survey: Option<Survey>,
    /// The last counters, and when.
    heap_before: Option<(Snapshot, u64)>,
    smaps_due_ns: u64,
    picture: ProcessPicture,
}

impl Follower {
    /// `Err` says why the process cannot be watched.
    pub(crate) fn new(proc: Proc, host: Host, pid: u32) -> Result<Follower, String> {
        let stat = proc.stat(pid);
        let mut processes = Processes::new(proc);
        let table = processes.read_of(&[pid]);
        let Some(process) = table.row(pid).cloned() else {
            let reason = stat.reason().unwrap_or_else(|| Reason::Gone.to_string());
            return Err(match stat {
                Reading::Absent(Reason::Gone) => format!("there is no process {pid}"),
                _ => format!("process {pid} cannot be read: {reason}"),
            });
        };
        if !process.has_memory() {
            return Err(format!(
                "process {pid} is a zombie or a kernel thread: it has no memory of its own"
            ));
        }
        let machine = MachineMemory::read(&host);
        let picture = ProcessPicture {
            machine,
            row: Row::new(process.clone(), None, None),
            age_ns: Reading::Absent(Reason::NotYet),
            cpu_ns: 0,
            space: Err(Reason::NotYet.to_string()),
            history: History::default(),
            heap: Err(Reason::NotYet.to_string()),
            at_ns: 0,
            ended: false,
        };
        let mut follower = Follower {
            host,
            processes,
            users: Users::default(),
            pid,
            first: process,
            began_ns: table.at_ns,
            before: table.clone(),
            inside: Err(Why::NotThere),
            survey: None,
            heap_before: None,
            smaps_due_ns: 0,
            picture,
        };
        follower.take(table);
        Ok(follower)
    }

    /// Reads it once more; one that has ended costs nothing.
    pub(crate) fn read(&mut self) {
        if !self.picture.ended {
            let table = self.processes.read_of(&[self.pid]);
            self.take(table);
        }
    }

    /// Reads it once more, smaps too, whatever that costs.
    pub(crate) fn read_all(&mut self) {
        self.smaps_due_ns = 0;
        self.read();
    }

    pub(crate) fn picture(&self) -> &ProcessPicture {
        &self.picture
    }

    fn take(&mut self, table: ProcessTable) {
        self.picture.machine = MachineMemory::read(&self.host);
        self.picture.at_ns = table.at_ns.saturating_sub(self.began_ns);
        let living = |row: &&Process| row.is_same(&self.first) && row.state != State::Zombie;
        let Some(process) = table.row(self.pid).filter(living).cloned() else {
            self.picture.ended = true;
            return;
        };
        let rates = table.rates_since(&self.before).get(&self.pid).copied();
        let user = process.user.value().map(|id| self.users.name(id));
        let footprint = self.picture.row.process.footprint;
        self.picture.cpu_ns = process.cpu_ns(table.ticks_per_second);
        let start_ns = process
            .start_ticks
            .saturating_mul(1_000_000_000 / table.ticks_per_second);
        self.picture.age_ns = self.picture.machine.up_ns.map(|up| up.saturating_sub(start_ns));
        self.picture.row = Row::new(process, rates, user);
        self.picture.row.process.footprint = footprint;
        if table.at_ns >= self.smaps_due_ns {
            self.read_space(table.at_ns);
        }
        self.read_heap(table.at_ns);
        self.before = table;
    }

    fn read_space(&mut self, now_ns: u64) {
        let proc = self.processes.proc();
        let (pid, inside) = (self.pid, &mut self.inside);
        let (space, cost) = measured(|| {
            // Found anew each time: it may run another program than before.
            *inside = Inside::find(proc, pid);
            let spans = inside.as_ref().ok().and_then(|inside| inside.spans().ok());
            let survey = inside.as_ref().ok().and_then(|inside| inside.survey().ok());
            let known = Known {
                program: None,
                neap: spans.into_iter().flatten().map(|span| span.addresses).collect(),
            };
            let smaps = proc.smaps(pid);
            let space = smaps.map(|smaps| (Footprint::of(&smaps), Space::new(smaps, &known)));
            (space, survey)
        });
        let (space, survey) = space;
        self.survey = survey;
        let rest = u64::try_from(cost.saturating_mul(COST_DIVISOR).as_nanos()).unwrap_or(u64::MAX);
        self.smaps_due_ns = now_ns.saturating_add(rest);
        let at_ns = self.picture.at_ns;
        match space {
            Reading::Value((footprint, space)) => {
                self.picture.row.process.footprint = footprint;
                let space = SpaceUse::new(&space, at_ns);
                self.picture.history.push(Point {
                    at_ns,
                    resident_bytes: space.resident_bytes(),
                    kinds: Some(space.by_kind()),
                });
                self.picture.space = Ok(space);
            }
            other => {
                let why = match other {
                    Reading::Denied => Reading::Denied,
                    Reading::Absent(reason) => Reading::Absent(reason),
                    Reading::Value(_) => Reading::Absent(Reason::NotYet),
                };
                self.picture.row.process.footprint = Footprint::missing(why);
                self.picture.space = Err(why.reason().unwrap_or_default());
                if let Some(resident_bytes) = self.picture.row.process.resident_bytes.value() {
                    self.picture.history.push(Point {
                        at_ns,
                        resident_bytes,
                        kinds: None,
                    });
                }
            }
        }
    }
}

impl Follower {
    fn read_heap(&mut self, now_ns: u64) {
        let counters = match &self.inside {
            Ok(inside) => inside.counters(),
            Err(why) => Err(why.clone()),
        };
        self.picture.heap = match counters {
            Ok(now) => {
                let (before, at_ns) = match &self.heap_before {
                    Some((before, at_ns)) => (Some(before), *at_ns),
                    None => (None, now_ns),
                };
                let figures = HeapFigures::new(&now, before, now_ns.saturating_sub(at_ns));
                self.heap_before = Some((now, now_ns));
                Ok(match &self.survey {
                    Some(survey) => figures.surveyed(survey),
                    None => figures,
                })
            }
            Err(why) => Err(why.to_string()),
        };
    }
}

impl SpaceUse {
    fn new(space: &Space, at_ns: u64) -> SpaceUse {
        let totals = space.by_kind();
        let kinds = Kind::ALL.into_iter().filter_map(|kind| {
            let total = totals.get(&kind)?;
            Some(KindUse {
                kind,
                mappings: total.mappings,
                mapped_bytes: total.len_bytes,
                resident_bytes: total.sizes.get(SmapsField::Rss).into(),
                proportional_bytes: total.sizes.get(SmapsField::Pss).into(),
                swap_bytes: total.sizes.get(SmapsField::Swap).into(),
            })
        });
        let mut stretches: Vec<Stretch> = Vec::new();
        for (entry, kind) in space.mappings() {
            let resident_bytes = entry.sizes.get(SmapsField::Rss).unwrap_or(0);
            match stretches.last_mut() {
                Some(last) if last.kind == kind => {
                    last.mapped_bytes = last.mapped_bytes.saturating_add(entry.len_bytes());
                    last.resident_bytes = last.resident_bytes.saturating_add(resident_bytes);
                }
                _ => stretches.push(Stretch {
                    kind,
                    mapped_bytes: entry.len_bytes(),
                    resident_bytes,
                }),
            }
        }
        SpaceUse {
            at_ns,
            kinds: kinds.collect(),
            stretches,
        }
    }

    fn by_kind(&self) -> [u64; KINDS] {
        let resident = |kind: Kind| {
            let own = self.kinds.iter().find(|own| own.kind == kind)?;
            own.resident_bytes.value()
        };
        Kind::ALL.map(|kind| resident(kind).unwrap_or(0))
    }

    fn resident_bytes(&self) -> u64 {
        self.by_kind()
            .iter()
            .fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }
}
