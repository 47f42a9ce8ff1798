//! What the heap of libneap.so in a process says of itself: its counters, and which addresses are its own.
//!
//! A heap that is not there or cannot be read has a reason, never zeros.

use std::ops::Range;

use neap_proc::read::Proc;
use serde::Serialize;

/// A heap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heap {
    pub(crate) counters: Counters,
    pub(crate) spans: Vec<HeapSpan>,
}

/// Its counters, as on its page of the board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counters {
    /// In blocks that the program has.
    pub(crate) live_bytes: u64,
    pub(crate) live_blocks: u64,
    /// In pages that hold blocks, may hold them again, or wait to be given back.
    pub(crate) held_bytes: u64,
    /// Of those, in free pages that wait to be given back.
    pub(crate) dirty_bytes: u64,
    /// In its own records.
    pub(crate) meta_bytes: u64,
    /// Given back to the kernel since it started.
    pub(crate) given_back_bytes: u64,
    pub(crate) threads: u64,
}

/// Addresses that are the heap's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeapSpan {
    pub(crate) addresses: Range<u64>,
    pub(crate) role: Role,
}

/// What a span is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Window,
    Records,
    Direct,
}

impl Role {
    pub(crate) const ALL: [Role; 3] = [Role::Window, Role::Records, Role::Direct];

    /// One word for tables and files.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Role::Window => "window",
            Role::Records => "records",
            Role::Direct => "direct",
        }
    }

    /// What it is.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Role::Window => {
                "the addresses in which nearly all blocks lie; pages given back stay mapped and empty"
            }
            Role::Records => "what describes slabs and chunks; it lies apart from the blocks",
            Role::Direct => "blocks of 32 MiB and more have a mapping each, unmapped when they are freed",
        }
    }
}

impl Counters {
    /// By name, as a snapshot holds them.
    pub(crate) fn named(&self) -> [(&'static str, u64); 7] {
        [
            ("live_bytes", self.live_bytes),
            ("live_blocks", self.live_blocks),
            ("held_bytes", self.held_bytes),
            ("dirty_bytes", self.dirty_bytes),
            ("meta_bytes", self.meta_bytes),
            ("given_back_bytes", self.given_back_bytes),
            ("threads", self.threads),
        ]
    }

    /// Sets the counter of that name; `None` when there is no such counter.
    pub(crate) fn set(&mut self, name: &str, value: u64) -> Option<()> {
        let counter = match name {
            "live_bytes" => &mut self.live_bytes,
            "live_blocks" => &mut self.live_blocks,
            "held_bytes" => &mut self.held_bytes,
            "dirty_bytes" => &mut self.dirty_bytes,
            "meta_bytes" => &mut self.meta_bytes,
            "given_back_bytes" => &mut self.given_back_bytes,
            "threads" => &mut self.threads,
            _ => return None,
        };
        *counter = value;
        Some(())
    }
}

impl Heap {
    /// Reads the heap of a process.
    pub(crate) fn read(_proc: &Proc, _pid: u32) -> Result<Heap, String> {
        Err("libneap.so is not there".to_owned())
    }

    /// All its addresses.
    pub(crate) fn addresses(&self) -> Vec<Range<u64>> {
        self.spans.iter().map(|span| span.addresses.clone()).collect()
    }

    /// What an address of the heap is for.
    pub(crate) fn role(&self, address: u64) -> Option<Role> {
        let span = self.spans.iter().find(|span| span.addresses.contains(&address))?;
        Some(span.role)
    }
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
        assert_eq!(values, (1..=7).collect::<Vec<u64>>());
        assert_eq!(counters.set("other", 1), None);
    }
}
