//! [`Experiment`]: what is asked of the kernel, how, and what is expected.
//!
//! Owns the text of an experiment and the function that does it. An experiment is a constant; what comes of it
//! is a [`super::record::Trial`].

use serde::{Deserialize, Serialize};

use super::hand::{Hand, Stop};

/// What an experiment is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Chapter {
    /// The program break.
    Brk,
    /// Private and shared, anonymous and of a file.
    Kinds,
    /// What else mmap can be asked for.
    Flags,
    /// What may be done with the bytes.
    Protection,
    /// How the calls refuse.
    Errno,
    /// SIGSEGV and SIGBUS.
    Faults,
    /// munmap and mremap.
    Munmap,
    /// msync: when a file gets what was stored.
    Msync,
    /// madvise, value by value.
    Madvise,
    /// Locked memory.
    Locking,
    /// POSIX and System V shared memory.
    Shm,
    /// What a child gets.
    Fork,
    /// malloc over brk and mmap.
    Malloc,
    /// What comes back after free.
    GivingBack,
    /// Memory that a driver hands out.
    Driver,
    /// Huge pages, transparent and reserved.
    Huge,
    /// How much the kernel promises.
    Overcommit,
}

impl Chapter {
    /// Its name as the command line takes it.
    pub(crate) fn name(self) -> String {
        use clap::ValueEnum as _;
        self.to_possible_value()
            .map(|v| v.get_name().to_owned())
            .unwrap_or_default()
    }

    /// Its heading.
    pub(crate) const fn heading(self) -> &'static str {
        match self {
            Chapter::Brk => "The program break",
            Chapter::Kinds => "The four kinds of mapping",
            Chapter::Flags => "Flags of mmap",
            Chapter::Protection => "Protection",
            Chapter::Errno => "Errors",
            Chapter::Faults => "SIGSEGV and SIGBUS",
            Chapter::Munmap => "munmap and mremap",
            Chapter::Msync => "msync",
            Chapter::Madvise => "madvise, value by value",
            Chapter::Locking => "Locking",
            Chapter::Shm => "POSIX and System V shared memory",
            Chapter::Fork => "fork",
            Chapter::Malloc => "malloc on brk and mmap",
            Chapter::GivingBack => "Giving back",
            Chapter::Driver => "Driver memory",
            Chapter::Huge => "Huge pages",
            Chapter::Overcommit => "Overcommit",
        }
    }
}

/// Under which malloc an experiment runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Under {
    /// The C library's: the experiment is not about malloc.
    Plain,
    /// Once under the C library's and once under libneap.so, side by side.
    Both,
}

/// See the module. The fields are in the order in which they are shown.
pub(crate) struct Experiment {
    /// Words of small letters joined by `-`; unique.
    pub(crate) name: &'static str,
    pub(crate) chapter: Chapter,
    /// What one wants to know, as a question.
    pub(crate) question: &'static str,
    /// What is done.
    pub(crate) method: &'static str,
    /// What should be seen, and from which kernel on if not from any.
    pub(crate) expectation: &'static str,
    /// Why it is so, in a paragraph.
    pub(crate) explanation: &'static str,
    /// What this does not prove.
    pub(crate) cannot_show: &'static str,
    /// The note it comes from, the manual page, the kernel's file.
    pub(crate) source: &'static str,
    /// Kernels before this one cannot do it: `cannot run here`.
    pub(crate) since: Option<(u32, u32)>,
    pub(crate) under: Under,
    /// The same by hand in C: a whole program.
    pub(crate) c: &'static str,
    /// The same by hand in Rust: a whole program.
    pub(crate) rust: &'static str,
    pub(crate) run: fn(&mut Hand) -> Result<(), Stop>,
}
