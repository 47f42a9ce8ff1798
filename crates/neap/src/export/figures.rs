//! What one scrape found: plain data, each number a [`Figure`] with its unit in its name.
//!
//! Rendered as text by [`super::text`] and as JSON by `report::export`; both go through the same fields, so they
//! cannot disagree. A figure that is missing has its reason and is never 0.

use serde::Serialize;

use crate::report::Figure;

/// A struct of figures that can tell the name of each.
macro_rules! figures {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize)]
        pub(crate) struct $name {
            $($(#[$field_doc])* pub(crate) $field: Figure,)*
        }

        impl $name {
            /// Every figure with its name.
            pub(crate) fn each(&self) -> impl Iterator<Item = (&'static str, &Figure)> {
                [$((stringify!($field), &self.$field)),*].into_iter()
            }
        }
    };
}

figures! {
    /// `/proc/PID/status` and `/proc/PID/stat`.
    Memory {
        /// VmRSS.
        resident_bytes,
        /// RssAnon.
        resident_anonymous_bytes,
        /// RssFile.
        resident_file_bytes,
        /// RssShmem.
        resident_shmem_bytes,
        /// VmHWM.
        resident_peak_bytes,
        /// VmSwap.
        swap_bytes,
        /// VmSize.
        size_bytes,
        /// VmPTE.
        page_table_bytes,
        /// VmLck.
        locked_bytes,
        /// Threads.
        threads,
        /// Column 10 of stat.
        minor_faults,
        /// Column 12.
        major_faults,
        /// Column 14.
        user_ns,
        /// Column 15.
        system_ns,
    }
}

figures! {
    /// `/proc/PID/smaps_rollup`, which may have been read by an earlier scrape.
    Shares {
        /// Pss.
        proportional_bytes,
        /// Private_Clean + Private_Dirty.
        unique_bytes,
        /// SwapPss.
        swap_proportional_bytes,
        /// Time since the file was read.
        age_ns,
    }
}

figures! {
    /// The counters of a heap of libneap.so, as in `neap_abi::Page`.
    Counters {
        live_bytes,
        live_blocks,
        held_bytes,
        dirty_bytes,
        meta_bytes,
        threads,
        live_peak_bytes,
        held_peak_bytes,
        large_blocks,
        large_bytes,
        direct_blocks,
        direct_bytes,
        given_back_bytes,
        regret_bytes,
        purges,
        helper_starts,
        helpers,
    }
}

figures! {
    /// `/proc/meminfo`.
    Sizes {
        /// MemTotal.
        memory_bytes,
        /// MemFree.
        free_bytes,
        /// MemAvailable.
        available_bytes,
        /// SwapTotal.
        swap_bytes,
        /// SwapFree.
        swap_free_bytes,
    }
}

figures! {
    /// The files of a control group.
    GroupSizes {
        /// memory.current.
        used_bytes,
        /// memory.max.
        limit_bytes,
        /// memory.high.
        high_bytes,
        /// memory.peak (Linux 5.19).
        peak_bytes,
        /// memory.swap.current.
        swap_bytes,
    }
}

/// One process.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// The kernel's name of it, at most 15 bytes.
    pub(crate) name: String,
    /// Name of the effective user; its number when it has none; `None` when that cannot be read.
    pub(crate) user: Option<String>,
    /// Path of the control group that counts its memory; `None` when there is none or it cannot be read.
    pub(crate) group: Option<String>,
    /// Seconds since 1970; with the pid it names a process for good.
    pub(crate) start_time_seconds: Option<f64>,
    #[serde(flatten)]
    pub(crate) memory: Memory,
    #[serde(flatten)]
    pub(crate) shares: Shares,
    /// `None`: see the reason.
    pub(crate) heap: Option<Heap>,
    /// Why there is no heap.
    #[serde(skip)]
    pub(crate) no_heap: Option<String>,
}

/// A heap of libneap.so.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Heap {
    pub(crate) backend: &'static str,
    #[serde(flatten)]
    pub(crate) counters: Counters,
    pub(crate) memory_calls: Vec<Call>,
    /// Classes with live blocks, when they were asked for.
    pub(crate) classes: Vec<Class>,
}

/// A memory call of the heap's.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) calls: u64,
    pub(crate) bytes: u64,
    pub(crate) failed: u64,
}

/// A size class.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Class {
    pub(crate) block_bytes: u64,
    pub(crate) live_blocks: u64,
}

/// The machine, and where its tasks wait for memory.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    #[serde(flatten)]
    pub(crate) sizes: Sizes,
    /// `/proc/pressure/memory`; `None`: see the reason.
    pub(crate) pressure: Option<Vec<Stalled>>,
    #[serde(skip)]
    pub(crate) no_pressure: Option<String>,
}

/// A line of PSI.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Stalled {
    /// `some` or `full`.
    pub(crate) tasks: &'static str,
    pub(crate) last_10_seconds_share: f64,
    pub(crate) last_60_seconds_share: f64,
    pub(crate) last_300_seconds_share: f64,
    pub(crate) total_ns: u64,
}

/// A control group that counts the memory of an exported process.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Group {
    pub(crate) path: String,
    #[serde(flatten)]
    pub(crate) sizes: GroupSizes,
}

/// Processes of which a file could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Unreadable {
    /// `status`, `smaps_rollup` or `heap`.
    pub(crate) source: &'static str,
    /// One word.
    pub(crate) reason: &'static str,
    pub(crate) processes: u64,
}

/// The exporter itself.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Own {
    /// Processes that were looked at.
    pub(crate) seen: u64,
    /// Those exported.
    pub(crate) exported: u64,
    /// Those chosen and left out because of `--limit`.
    pub(crate) left_out: u64,
    /// Processes that ended while they were read, ever.
    pub(crate) vanished_total: u64,
    /// Readings of smaps_rollup, ever.
    pub(crate) share_readings_total: u64,
    /// Times that everything was read, ever.
    pub(crate) scrapes_total: u64,
    /// Time that this one took.
    pub(crate) scrape_ns: u64,
    /// Requests that were refused or failed, by cause; none where nothing is served.
    #[serde(skip)]
    pub(crate) errors: Vec<(&'static str, u64)>,
}

/// All that a scrape found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Scrape {
    /// In the order of pids.
    pub(crate) processes: Vec<Process>,
    pub(crate) groups: Vec<Group>,
    pub(crate) machine: Machine,
    pub(crate) unreadable: Vec<Unreadable>,
    pub(crate) exporter: Own,
}
