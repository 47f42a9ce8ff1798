//! What the heap of neap's in a process holds and which addresses are its own, as a snapshot keeps it.
//!
//! Live and free bytes are those of the moment, by a survey of the whole heap; what was given back is the heap's
//! own counter. A heap that is not there or cannot be looked at has a reason, never zeros.

use std::ops::Range;

use neap_proc::read::Proc;
use serde::Serialize;

use crate::heap::{HeapSpan, Inside, PageRun, Role, Why};

/// A heap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heap {
    pub(crate) counters: Counters,
    /// In the order of addresses.
    pub(crate) spans: Vec<HeapSpan>,
}

/// How much it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counters {
    /// In blocks, those included that threads have ready.
    pub(crate) live_bytes: u64,
    pub(crate) live_blocks: u64,
    /// In free pages that wait to be given back.
    pub(crate) waiting_bytes: u64,
    /// Free, on pages in memory that a live block keeps there.
    pub(crate) pinned_bytes: u64,
    /// Addresses for blocks, in memory or not.
    pub(crate) held_bytes: u64,
    /// Addresses of its own records.
    pub(crate) records_bytes: u64,
    /// Given back to the kernel since it started, each time it was counted.
    pub(crate) given_back_bytes: u64,
    pub(crate) threads: u64,
}

/// What a heap's addresses are for, in the order of reports.
pub(crate) const ROLES: [Role; 3] = [Role::Window, Role::Records, Role::Direct];

impl Counters {
    /// By name, as a snapshot holds them.
    pub(crate) fn named(&self) -> [(&'static str, u64); 8] {
        [
            ("live_bytes", self.live_bytes),
            ("live_blocks", self.live_blocks),
            ("waiting_bytes", self.waiting_bytes),
            ("pinned_bytes", self.pinned_bytes),
            ("held_bytes", self.held_bytes),
            ("records_bytes", self.records_bytes),
            ("given_back_bytes", self.given_back_bytes),
            ("threads", self.threads),
        ]
    }

    /// Sets the counter of that name; `None` when there is no such counter.
    pub(crate) fn set(&mut self, name: &str, value: u64) -> Option<()> {
        let counter = match name {
            "live_bytes" => &mut self.live_bytes,
            "live_blocks" => &mut self.live_blocks,
            "waiting_bytes" => &mut self.waiting_bytes,
            "pinned_bytes" => &mut self.pinned_bytes,
            "held_bytes" => &mut self.held_bytes,
            "records_bytes" => &mut self.records_bytes,
            "given_back_bytes" => &mut self.given_back_bytes,
            "threads" => &mut self.threads,
            _ => return None,
        };
        *counter = value;
        Some(())
    }
}

impl Heap {
    /// Looks at the heap of a process. Tens of milliseconds for each GiB of it.
    pub(crate) fn read(proc: &Proc, pid: u32) -> Result<Heap, Why> {
        let inside = Inside::find(proc, pid)?;
        let (counters, survey, spans) = (inside.counters()?, inside.survey()?, inside.spans()?);
        Ok(Heap {
            counters: Counters {
                live_bytes: survey.live_bytes,
                live_blocks: survey.live_blocks,
                waiting_bytes: survey.dirt_bytes,
                pinned_bytes: pinned(&survey.pages),
                held_bytes: survey.held_bytes,
                records_bytes: survey.records_bytes,
                given_back_bytes: counters.given_back_bytes,
                threads: counters.threads,
            },
            spans,
        })
    }

    /// All its addresses.
    pub(crate) fn addresses(&self) -> Vec<Range<u64>> {
        self.spans.iter().map(|span| span.addresses.clone()).collect()
    }

    /// What most of a mapping of the heap is for.
    pub(crate) fn role(&self, addresses: &Range<u64>) -> Option<Role> {
        let common = |span: &HeapSpan| {
            let end = span.addresses.end.min(addresses.end);
            end.saturating_sub(span.addresses.start.max(addresses.start))
        };
        let of = |role: &Role| {
            let spans = self.spans.iter().filter(|span| span.role == *role);
            spans.map(common).fold(0, u64::saturating_add)
        };
        ROLES.into_iter().filter(|role| of(role) > 0).max_by_key(of)
    }
}

/// What is free on pages that a live block keeps in memory.
fn pinned(runs: &[PageRun]) -> u64 {
    const PAGE: u64 = 4096;
    let kept = runs
        .iter()
        .filter(|run| run.live_bytes > 0 && run.resident != Some(false));
    kept.map(|run| {
        PAGE.saturating_sub(u64::from(run.live_bytes))
            .saturating_mul(run.pages)
    })
    .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_goes_by_its_name() {
        let mut counters = Counters::default();
        for (value, (name, _)) in (1..).zip(Counters::default().named()) {
            counters.set(name, value).unwrap();
        }
        let values: Vec<u64> = counters.named().iter().map(|(_, value)| *value).collect();
        assert_eq!(values, (1..=8).collect::<Vec<u64>>());
        assert_eq!(counters.set("other", 1), None);
    }

    #[test]
    fn what_is_free_beside_live_blocks_is_pinned() {
        let run = |live_bytes, resident| PageRun {
            first: 0x1000,
            pages: 10,
            use_: crate::heap::Use::Slab { class_bytes: 64 },
            live_bytes,
            resident,
        };
        let runs = [
            run(4000, Some(true)),
            run(0, Some(true)),
            run(96, Some(false)),
            run(4095, None),
        ];
        assert_eq!(pinned(&runs), 970);
    }

    #[test]
    fn a_mapping_is_for_what_most_of_it_is_for() {
        let span = |addresses, role| HeapSpan { addresses, role };
        let heap = Heap {
            spans: vec![
                span(0x1000..0x2000, Role::Window),
                span(0x2000..0x5000, Role::Direct),
            ],
            ..Heap::default()
        };
        assert_eq!(heap.role(&(0x1000..0x5000)), Some(Role::Direct));
        assert_eq!(heap.role(&(0x1000..0x2800)), Some(Role::Window));
        assert_eq!(heap.role(&(0x6000..0x7000)), None);
    }
}
