//! [`Tally`]: the counters of one process, kept where a reader outside can see them.
//!
//! Owns the choice of page: the process's own until a board is joined (`neap run` names one in
//! `NEAP_BOARD`), then the page of the board. Gauges that a fast path would have to count (live
//! bytes and blocks) are not counted at all but found by a walk and stored by `crate::census`.
//! Nothing here fails or waits.

#![allow(unsafe_code)]

use crate::sync::{AtomicU64, AtomicUsize, Relaxed, Release};
use neap_abi::anatomy::Field;
use neap_abi::{Call, MAGIC, Page, VERSION};

/// The counters. Zero until the heap is opened.
pub(crate) struct Tally {
    own: Page,
    /// Address of a page shared with a reader, or 0.
    shared: AtomicUsize,
}

impl Tally {
    /// Where things are, for readers outside.
    pub(crate) const FIELDS: [(Field, usize); 2] = [
        (Field::OwnPage, core::mem::offset_of!(Tally, own)),
        (Field::SharedPage, core::mem::offset_of!(Tally, shared)),
    ];

    pub(crate) const fn new() -> Tally {
        Tally {
            own: Page::zero(),
            shared: AtomicUsize::new(0),
        }
    }

    /// The page in use.
    #[inline]
    pub(crate) fn page(&self) -> &Page {
        let shared = self.shared.load(Relaxed);
        if shared == 0 {
            return &self.own;
        }
        // SAFETY: `share_at`'s caller showed that a page-aligned, writable mapping of a whole `Page`
        // lies there for the rest of the process's life; a `Page` is nothing but atomics.
        unsafe { &*core::ptr::with_exposed_provenance::<Page>(shared) }
    }

    /// Whether somebody outside is reading along.
    #[inline]
    pub(crate) fn is_shared(&self) -> bool {
        self.shared.load(Relaxed) != 0
    }

    /// Starts the shared page: its identity and its birth. From here on readers take it for valid.
    pub(crate) fn begin(&self, pid: u32, now_ns: u64, backend: neap_abi::Backend) {
        let page = self.page();
        page.pid.store(u64::from(pid), Relaxed);
        page.start_ns.store(now_ns, Relaxed);
        page.backend.store(backend as u64, Relaxed);
        page.version.store(VERSION, Relaxed);
        page.magic.store(MAGIC, Release);
    }

    /// Moves the counters to the shared page at `address`.
    ///
    /// # Safety
    /// 1. `address` is page-aligned and the first of 4096 zeroed bytes mapped readable and writable
    ///    until the process ends or execs.
    pub(crate) unsafe fn share_at(&self, address: usize) {
        // Through raw words: whatever the own page counted so far goes along. Both are the same
        // struct of 64-bit words.
        let words = size_of::<Page>() / 8;
        let from = core::ptr::from_ref(self.page()).cast::<AtomicU64>();
        let to = core::ptr::with_exposed_provenance::<AtomicU64>(address);
        for n in 0..words {
            // SAFETY: n stays inside both pages; the target is mapped (1), words are atomics.
            let (source, target) = unsafe { (&*from.add(n), &*to.add(n)) };
            target.store(source.load(Relaxed), Relaxed);
        }
        self.shared.store(address, Release);
    }

    /// Goes back to the own page, in the child of fork(2): the gauges stay, the totals begin anew.
    pub(crate) fn leave_shared(&self) {
        let shared = self.page();
        let own = &self.own;
        for (to, from) in [
            (&own.held_bytes, &shared.held_bytes),
            (&own.meta_bytes, &shared.meta_bytes),
            (&own.threads, &shared.threads),
        ] {
            to.store(from.load(Relaxed), Relaxed);
        }
        for (to, from) in own.classes.iter().zip(&shared.classes) {
            to.block_bytes.store(from.block_bytes.load(Relaxed), Relaxed);
        }
        self.shared.store(0, Release);
    }

    /// A call that succeeded.
    pub(crate) fn call(&self, call: Call, bytes: usize) {
        let row = self.page().call(call);
        row.calls.fetch_add(1, Relaxed);
        row.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// A call that failed.
    pub(crate) fn failed(&self, call: Call) {
        self.page().call(call).failed.fetch_add(1, Relaxed);
    }

    /// Bytes mapped for the heap's records.
    pub(crate) fn meta(&self, bytes: usize) {
        self.page().meta_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Bytes of address space gained for blocks.
    pub(crate) fn held(&self, bytes: usize) {
        let page = self.page();
        let now = page.held_bytes.fetch_add(bytes as u64, Relaxed) + bytes as u64;
        page.held_peak_bytes.fetch_max(now, Relaxed);
    }

    /// Bytes of address space given up. What was resident there is counted by who discards it.
    pub(crate) fn unheld(&self, bytes: usize) {
        self.page().held_bytes.fetch_sub(bytes as u64, Relaxed);
    }

    /// Bytes given back to the kernel.
    pub(crate) fn given_back(&self, bytes: usize) {
        self.page().given_back_bytes.fetch_add(bytes as u64, Relaxed);
    }
}
