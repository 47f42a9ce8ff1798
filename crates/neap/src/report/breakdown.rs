//! Where the resident memory is: parts that add up to the kernel's figure, the rest printed.
//!
//! The kernel's figure is the second number of `/proc/PID/statm`, read just before the rest. The parts are
//! the Rss lines of smaps by the kind of their mapping. In mappings that hold pages of the heap
//! (libneap.so's, or the break), the heap's resident pages are split by what its records say of each page,
//! and what else is resident there is other anonymous memory. The residual is the figure less all parts: what
//! changed while it was read. It is never spread over other parts.

use neap_proc::model::{Kind, Space};
use neap_proc::parse::SmapsField;
use serde::{Serialize, Serializer};

use super::text::printable;
use crate::heap::{PageRun, Survey, Use};
use crate::run::Outcome;
use crate::run::moment::{Member, Moment};

/// In which heaps count.
const PAGE_BYTES: u64 = 4096;

/// A part of the resident memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Live,
    Caches,
    Pinned,
    SlabPages,
    Dirt,
    Records,
    Heap,
    Anonymous,
    Program,
    Library,
    File,
    Shared,
    Stack,
    Kernel,
    Device,
    Unread,
}

/// A part and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Share {
    pub(crate) part: Part,
    pub(crate) bytes: u64,
}

/// What an amount of resident memory consists of.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Breakdown {
    /// By statm.
    pub(crate) rss_bytes: u64,
    /// In the order of [`Part::ALL`]; parts without a byte are left out.
    pub(crate) parts: Vec<Share>,
    /// RSS less the sum of all parts.
    pub(crate) residual_bytes: i64,
}

/// One process at one moment.
#[derive(Debug, Serialize)]
pub(crate) struct ProcessBreakdown {
    pub(crate) pid: u32,
    pub(crate) command: Vec<String>,
    /// Why its smaps could not be read.
    pub(crate) smaps_missing: Option<String>,
    /// Why its heap is not split.
    pub(crate) heap_missing: Option<String>,
    #[serde(flatten)]
    pub(crate) breakdown: Breakdown,
}

/// All processes at one moment.
#[derive(Debug, Serialize)]
pub(crate) struct MomentRow {
    pub(crate) when: When,
    pub(crate) at_ns: u64,
    #[serde(flatten)]
    pub(crate) breakdown: Breakdown,
    /// The largest first.
    pub(crate) processes: Vec<ProcessBreakdown>,
    /// There were more, of which only the RSS was read.
    pub(crate) processes_left_out: u64,
}

/// Which moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum When {
    /// Nearest to the peak of RSS.
    Peak,
    /// The last before the end.
    End,
}

impl When {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            When::Peak => "peak",
            When::End => "end",
        }
    }
}

impl Part {
    /// All, in the order of reports.
    pub(crate) const ALL: [Part; 16] = [
        Part::Live,
        Part::Caches,
        Part::Pinned,
        Part::SlabPages,
        Part::Dirt,
        Part::Records,
        Part::Heap,
        Part::Anonymous,
        Part::Program,
        Part::Library,
        Part::File,
        Part::Shared,
        Part::Stack,
        Part::Kernel,
        Part::Device,
        Part::Unread,
    ];

    /// The word in JSON and the class in HTML.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Part::Live => "live",
            Part::Caches => "caches",
            Part::Pinned => "pinned",
            Part::SlabPages => "slab_pages",
            Part::Dirt => "dirt",
            Part::Records => "records",
            Part::Heap => "heap",
            Part::Anonymous => "anonymous",
            Part::Program => "program",
            Part::Library => "library",
            Part::File => "file",
            Part::Shared => "shared",
            Part::Stack => "stack",
            Part::Kernel => "kernel",
            Part::Device => "device",
            Part::Unread => "unread",
        }
    }

    /// The name in reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Part::Live => "live blocks",
            Part::Caches => "thread caches",
            Part::Pinned => "pinned",
            Part::SlabPages => "free pages of slabs in use",
            Part::Dirt => "free pages",
            Part::Records => "the heap's records",
            Part::Heap => "heap, not split",
            Part::Anonymous => "other anonymous memory",
            Part::Program => "program file",
            Part::Library => "libraries",
            Part::File => "other files",
            Part::Shared => "shared memory",
            Part::Stack => "stacks",
            Part::Kernel => "kernel's pages",
            Part::Device => "devices",
            Part::Unread => "processes not looked into",
        }
    }

    /// What it is and where the figure comes from.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Part::Live => "blocks that the program holds, in sizes of their classes (the heap's records)",
            Part::Caches => "free blocks that threads keep at hand (the heap's records)",
            Part::Pinned => "free bytes on pages that hold a live block, too (the heap's records)",
            Part::SlabPages => "without a live block, in a slab that has some elsewhere (the heap's records)",
            Part::Dirt => "to be given back, once they have lain free for a tick (the heap's records)",
            Part::Records => "what libneap.so knows of its blocks, and its counters (the heap's records)",
            Part::Heap => "the heap of libneap.so, whose records could not be read (smaps)",
            Part::Anonymous => {
                "private memory of no file and not of libneap.so: a program's own mappings, data of \
                 libraries, the break (smaps)"
            }
            Part::Program => "pages of the executable file, its changed data too (smaps)",
            Part::Library => "pages of files with code that are not the program (smaps)",
            Part::File => "pages of other mapped files (smaps)",
            Part::Shared => "memfd, /dev/shm, System V and shared anonymous memory (smaps)",
            Part::Stack => "the main thread's stack; others are anonymous memory (smaps)",
            Part::Kernel => "vdso, vvar and the like (smaps)",
            Part::Device => "mapped memory of devices (smaps)",
            Part::Unread => "their smaps may not be read, or there were too many (statm)",
        }
    }

    fn of(kind: Kind) -> Part {
        match kind {
            Kind::Neap => Part::Heap,
            Kind::Heap | Kind::Anonymous => Part::Anonymous,
            Kind::Program => Part::Program,
            Kind::Library => Part::Library,
            Kind::File => Part::File,
            Kind::Shared => Part::Shared,
            Kind::Stack => Part::Stack,
            Kind::Kernel => Part::Kernel,
            Kind::Device => Part::Device,
        }
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.word().serialize(serializer)
    }
}

impl Breakdown {
    /// Puts equal parts together and computes the residual.
    fn new(rss_bytes: u64, shares: impl Iterator<Item = Share>) -> Breakdown {
        let mut sums = [0_u64; Part::ALL.len()];
        for share in shares {
            if let Some(index) = Part::ALL.iter().position(|part| *part == share.part)
                && let Some(sum) = sums.get_mut(index)
            {
                *sum = sum.saturating_add(share.bytes);
            }
        }
        let parts: Vec<Share> = Part::ALL
            .into_iter()
            .zip(sums)
            .filter(|(_, bytes)| *bytes > 0)
            .map(|(part, bytes)| Share { part, bytes })
            .collect();
        let sum: i128 = parts.iter().map(|share| i128::from(share.bytes)).sum();
        let residual = i128::from(rss_bytes) - sum;
        Breakdown {
            rss_bytes,
            parts,
            residual_bytes: i64::try_from(residual).unwrap_or(if residual < 0 { i64::MIN } else { i64::MAX }),
        }
    }
}

/// The moments of a run: near the peak, and the last. One that is both is told as both.
pub(crate) fn moments(outcome: &Outcome) -> Vec<MomentRow> {
    let Some(moments) = &outcome.moments else {
        return Vec::new();
    };
    let chosen = [(When::Peak, &moments.peak), (When::End, &moments.last)];
    let taken = chosen
        .into_iter()
        .filter_map(|(when, moment)| Some((when, moment.as_deref()?)));
    taken.map(|(when, moment)| row(when, moment)).collect()
}

fn row(when: When, moment: &Moment) -> MomentRow {
    let processes: Vec<ProcessBreakdown> = moment.members.iter().map(process).collect();
    let rss_bytes = processes
        .iter()
        .map(|process| process.breakdown.rss_bytes)
        .fold(moment.left_out_rss_bytes, u64::saturating_add);
    let left_out = Share {
        part: Part::Unread,
        bytes: moment.left_out_rss_bytes,
    };
    let shares = processes
        .iter()
        .flat_map(|process| process.breakdown.parts.iter().copied());
    MomentRow {
        when,
        at_ns: moment.at_ns,
        breakdown: Breakdown::new(rss_bytes, shares.chain([left_out])),
        processes,
        processes_left_out: moment.left_out,
    }
}

fn process(member: &Member) -> ProcessBreakdown {
    let shares = match (member.space.as_value(), &member.heap) {
        (None, _) => vec![Share {
            part: Part::Unread,
            bytes: member.rss_bytes,
        }],
        (Some(space), Ok(survey)) if survey.resident_bytes.is_some() => of_space(space, Some(survey)),
        (Some(space), _) => of_space(space, None),
    };
    ProcessBreakdown {
        pid: member.pid,
        command: member.command.iter().map(|word| printable(word)).collect(),
        smaps_missing: member.space.reason(),
        heap_missing: match &member.heap {
            Ok(survey) if survey.resident_bytes.is_none() && !survey.pages.is_empty() => {
                Some("the kernel does not say which of its pages are in memory".to_owned())
            }
            Ok(_) => None,
            Err(why) => Some(why.to_string()),
        },
        breakdown: Breakdown::new(member.rss_bytes, shares.into_iter()),
    }
}

/// What each mapping has resident; the heap's pages by their use where it is known.
fn of_space(space: &Space, survey: Option<&Survey>) -> Vec<Share> {
    let mut shares = Vec::new();
    let mut pages = survey.map_or(&[][..], |survey| &survey.pages);
    let mut sums = HeapSums::default();
    for (entry, kind) in space.mappings() {
        let rss_bytes = entry.sizes.get(SmapsField::Rss).unwrap_or(0);
        let before = sums.resident_bytes;
        // Pages of the heap below this mapping were unmapped meanwhile.
        while let Some((run, rest)) = pages.split_first()
            && run.first < entry.end
        {
            if run.first >= entry.start {
                sums.add(run);
            }
            pages = rest;
        }
        let heap_bytes = sums.resident_bytes - before;
        let (part, bytes) = match kind {
            Kind::Neap if survey.is_some() => continue,
            Kind::Heap | Kind::Anonymous => (Part::Anonymous, rss_bytes.saturating_sub(heap_bytes)),
            kind => (Part::of(kind), rss_bytes),
        };
        shares.push(Share { part, bytes });
    }
    // Cached blocks are live to the heap, and the records do not say on which pages they are.
    let cached = survey.map_or(0, |survey| survey.cached_bytes.min(sums.live_bytes));
    let parts = [
        (Part::Live, sums.live_bytes - cached),
        (Part::Caches, cached),
        (Part::Pinned, sums.pinned_bytes),
        (Part::SlabPages, sums.slab_pages_bytes),
        (Part::Dirt, sums.dirt_bytes),
        (Part::Records, sums.records_bytes),
    ];
    shares.extend(parts.map(|(part, bytes)| Share { part, bytes }));
    shares
}

/// Resident bytes of a heap by use.
#[derive(Clone, Copy, Debug, Default)]
struct HeapSums {
    resident_bytes: u64,
    live_bytes: u64,
    pinned_bytes: u64,
    slab_pages_bytes: u64,
    dirt_bytes: u64,
    records_bytes: u64,
}

impl HeapSums {
    fn add(&mut self, run: &PageRun) {
        if run.resident != Some(true) {
            return;
        }
        let bytes = run.pages.saturating_mul(PAGE_BYTES);
        let live = run.pages.saturating_mul(u64::from(run.live_bytes));
        self.resident_bytes = self.resident_bytes.saturating_add(bytes);
        self.live_bytes = self.live_bytes.saturating_add(live);
        let free = bytes.saturating_sub(live);
        let rest = match run.use_ {
            Use::Records => &mut self.records_bytes,
            Use::Slab { .. } if run.live_bytes == 0 => &mut self.slab_pages_bytes,
            _ if run.live_bytes == 0 => &mut self.dirt_bytes,
            _ => &mut self.pinned_bytes,
        };
        *rest = rest.saturating_add(free);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::Why;
    use neap_proc::Reading;
    use neap_proc::model::Known;
    use neap_proc::parse::Smaps;

    fn member(rss_bytes: u64, space: Reading<Space>) -> Member {
        Member {
            pid: 7,
            command: vec!["a\n".to_owned()],
            rss_bytes,
            space,
            counters: None,
            heap: Err(Why::NotThere),
        }
    }

    fn sum(breakdown: &Breakdown) -> i128 {
        let parts: i128 = breakdown.parts.iter().map(|share| i128::from(share.bytes)).sum();
        parts + i128::from(breakdown.residual_bytes)
    }

    #[test]
    fn parts_and_residual_are_the_kernels_figure() {
        let text = b"1000-3000 rw-p 0 0:0 0\nRss: 8 kB\n3000-4000 rw-s 0 0:1 5 /memfd:x\nRss: 4 \
         kB\n4000-5000 rw-p 0 0:0 0 [stack]\nRss: 4 kB\n5000-9000 rw-p 0 0:0 0 [anon:neap heap]\nRss: 12 \
         kB\n";
        let space = || Reading::Value(Space::new(Smaps::parse(text), &Known::default()));
        for rss_bytes in [28 << 10, 32 << 10, 20 << 10] {
            let moment = Moment {
                at_ns: 1,
                rss_bytes: 0,
                members: vec![member(rss_bytes, space()), member(4096, Reading::Denied)],
                left_out: 3,
                left_out_rss_bytes: 9 << 10,
                ended_rss_bytes: 0,
            };
            let row = row(When::Peak, &moment);
            assert_eq!(row.breakdown.rss_bytes, rss_bytes + 4096 + (9 << 10));
            assert_eq!(sum(&row.breakdown), i128::from(row.breakdown.rss_bytes));
            for process in &row.processes {
                assert_eq!(sum(&process.breakdown), i128::from(process.breakdown.rss_bytes));
            }
            assert_eq!(
                i128::from(row.breakdown.residual_bytes),
                i128::from(rss_bytes) - (28 << 10)
            );
            let parts: Vec<(Part, u64)> = row.breakdown.parts.iter().map(|s| (s.part, s.bytes)).collect();
            let wanted = [
                (Part::Heap, 12 << 10),
                (Part::Anonymous, 8 << 10),
                (Part::Shared, 4 << 10),
                (Part::Stack, 4 << 10),
                (Part::Unread, 13 << 10),
            ];
            assert_eq!(parts, wanted);
            assert_eq!(
                row.processes[1].smaps_missing.as_deref(),
                Some("permission denied")
            );
        }
    }
    #[test]
    fn the_heap_is_split_by_its_pages_and_what_else_is_in_the_break_is_other_memory() {
        // The break: two pages of the program's, then six of the heap, five of them resident.
        let text = b"1000-9000 rw-p 0 0:0 0 [heap]\nRss: 28 kB\na000-c000 rw-p 0 0:0 0\nRss: 4 kB\n";
        let known = Known {
            program: None,
            neap: std::iter::once(0xa000..0xc000).collect(),
        };
        let space = Space::new(Smaps::parse(text), &known);
        let run = |first, pages, use_, live_bytes, resident| PageRun {
            first,
            pages,
            use_,
            live_bytes,
            resident: Some(resident),
        };
        let slab = Use::Slab { class_bytes: 64 };
        let survey = Survey {
            pages: vec![
                run(0x3000, 2, slab, 64, true),
                run(0x5000, 1, slab, 0, true),
                run(0x6000, 1, Use::Run, 4096, true),
                run(0x7000, 1, Use::Dirt, 0, true),
                run(0x8000, 1, Use::GivenBack, 0, false),
                run(0xa000, 1, Use::Records, 0, true),
                run(0xb000, 1, Use::Records, 0, false),
            ],
            resident_bytes: Some(20 << 10),
            cached_bytes: 100,
            ..Survey::default()
        };
        let member = Member {
            heap: Ok(survey),
            ..member(33 << 10, Reading::Value(space))
        };
        let breakdown = process(&member).breakdown;
        let parts: Vec<(Part, u64)> = breakdown.parts.iter().map(|s| (s.part, s.bytes)).collect();
        let wanted = [
            (Part::Live, 4096 + 128 - 100),
            (Part::Caches, 100),
            (Part::Pinned, 2 * 4096 - 128),
            (Part::SlabPages, 4096),
            (Part::Dirt, 4096),
            (Part::Records, 4096),
            (Part::Anonymous, 2 * 4096),
        ];
        assert_eq!(parts, wanted);
        assert_eq!(breakdown.residual_bytes, 1024);
    }
}
