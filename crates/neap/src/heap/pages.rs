//! [`PageRun`]: pages side by side that are used alike.

/// Pages side by side of one use, with as many live bytes each, all in memory or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageRun {
    /// The first page's address.
    pub(crate) first: u64,
    /// How many pages of 4096 bytes.
    pub(crate) pages: u64,
    pub(crate) use_: Use,
    /// Bytes of blocks in use (or ready in a thread's hand) on each page, class sizes.
    pub(crate) live_bytes: u16,
    /// Whether the pages are in memory; `None` when the kernel does not say.
    pub(crate) resident: Option<bool>,
}

/// What a page is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Use {
    /// Blocks of one size.
    Slab {
        /// Bytes of a block.
        class_bytes: u32,
    },
    /// A block of up to 1 MiB.
    Run,
    /// A block of whole chunks of 2 MiB.
    Extent,
    /// A block that is a mapping of its own.
    Direct,
    /// Free, and not given back yet.
    Dirt,
    /// Free, and given back, or never used.
    GivenBack,
    /// The heap's own records.
    Records,
}

/// Runs of pages under construction.
#[derive(Debug, Default)]
pub(super) struct Pages(Vec<PageRun>);

impl Pages {
    /// Adds pages; those that go on where the last left off, and are like them, join them.
    pub(super) fn push(&mut self, run: PageRun) {
        if run.pages == 0 {
            return;
        }
        if let Some(last) = self.0.last_mut() {
            let end = last.first.saturating_add(last.pages.saturating_mul(4096));
            let alike =
                (last.use_, last.live_bytes, last.resident) == (run.use_, run.live_bytes, run.resident);
            if end == run.first && alike {
                last.pages += run.pages;
                return;
            }
        }
        self.0.push(run);
    }

    /// All runs, in the order of their addresses.
    pub(super) fn finish(mut self) -> Vec<PageRun> {
        self.0.sort_by_key(|run| run.first);
        self.0
    }
}
