//! A heap of neap's in another process, looked at from outside: read only, and the process runs on.
//!
//! [`Inside`] is found by an ELF note (`neap_abi::anatomy`) in libneap.so, or in a program whose global allocator
//! is neap's. It tells the heap's counters ([`Inside::counters`]), the addresses it has ([`Inside::spans`]), and what
//! every page is used for ([`Inside::survey`]). [`give_back`] is the exception: it has the process's threads
//! give back what is free.
//!
//! Everything read is another process's word: lengths, counts and links are checked, and whatever they say the
//! answer comes, and without a page of that process becoming resident for it. Records that change while they
//! are read are read again.

mod elf;

mod memory;

mod layout;

mod locate;

mod counters;

mod spans;

mod pages;

mod slab;

mod caches;

mod walk;

mod survey;

mod give_back;

#[cfg(test)]
mod live;

#[cfg(test)]
mod tests;

use std::fmt;

#[cfg(test)]
pub(crate) use give_back::ThreadEnd;
pub(crate) use give_back::{GaveBack, Measure, give_back};
pub(crate) use locate::Inside;
pub(crate) use pages::{PageRun, Use};
pub(crate) use spans::{HeapSpan, Role};
pub(crate) use survey::Survey;

/// Why a heap cannot be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The process has no heap of neap's.
    NotThere,
    /// The kernel keeps it from this user; how to mend that.
    Denied(String),
    /// The heap's layout is another version's; 0: a libneap.so from before there were versions.
    Version(u32),
    /// The process has ended.
    Gone,
    /// Something else went wrong.
    Failed(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::NotThere => f.write_str("does not run under libneap.so"),
            Why::Denied(how) => write!(f, "its memory may not be looked at: {how}"),
            Why::Version(0) => {
                f.write_str("runs under a libneap.so that is too old to be looked at from outside")
            }
            Why::Version(version) => write!(
                f,
                "runs under a libneap.so of layout {version}, this neap knows {}",
                neap_abi::anatomy::VERSION
            ),
            Why::Gone => f.write_str("has ended"),
            Why::Failed(what) => f.write_str(what),
        }
    }
}

impl Why {
    /// Permission was refused.
    fn denied() -> Why {
        let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
        Why::Denied(match scope.as_deref().map(str::trim) {
            Ok("1" | "2") => {
                "run neap with CAP_SYS_PTRACE (as root), or set kernel.yama.ptrace_scope=0".to_owned()
            }
            Ok("3") => "kernel.yama.ptrace_scope is 3, which only a restart changes".to_owned(),
            _ => "run neap as the same user, or with CAP_SYS_PTRACE (as root)".to_owned(),
        })
    }
}
