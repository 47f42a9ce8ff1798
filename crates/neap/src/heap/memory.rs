//! The memory of another process, read sparsely: what is not resident is not touched.
//!
//! Reading a page that was never written, or that is swapped out, would bring it into memory, and so change
//! what is being looked at. So `/proc/PID/pagemap` is asked first.

use std::fs::File;
use std::io::IoSliceMut;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use neap_proc::read::Proc;
use neap_proc::{Reading, Reason};
use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use super::Why;

/// A page of the reader's machine may hold several of these, in which heaps count.
pub(super) const PAGE: u64 = neap_abi::anatomy::PAGE;

/// A process's memory. In tests, bytes.
pub(super) trait Memory {
    /// Fills `into` from `address` on. False when not all of it can be read.
    fn read(&self, address: u64, into: &mut [u8]) -> bool;

    /// What the kernel says about the pages of `addresses`; `None` when it does not say.
    fn presence(&self, addresses: Range<u64>) -> Option<Presence>;

    /// More bytes than the process has mapped, whatever it has done since: what claims to be larger is not
    /// believed.
    fn most_bytes(&self) -> u64;

    /// Eight bytes.
    fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes).then(|| u64::from_ne_bytes(bytes))
    }

    /// Fills `into` from `address` on with what has been written there; the rest is zero, as it is in memory
    /// that nobody has touched. False when some of it cannot be read.
    fn read_sparsely(&self, address: u64, into: &mut [u8]) -> bool {
        into.fill(0);
        let Some(end) = address.checked_add(into.len() as u64) else {
            return false;
        };
        let Some(presence) = self.presence(address..end) else {
            return self.read(address, into);
        };
        let mut whole = true;
        presence.runs(address..end, |run| {
            let part = offset(address, run.start)..offset(address, run.end);
            whole &= into.get_mut(part).is_some_and(|part| self.read(run.start, part));
        });
        whole
    }
}

fn offset(from: u64, to: u64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)
}

/// Which pages of a range are in memory, and which are swapped out.
#[derive(Clone, Debug, Default)]
pub(super) struct Presence {
    first: u64,
    pages: Vec<State>,
}

/// Where a page is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Nowhere: reading it would give zeros.
    #[default]
    None,
    Resident,
    Swapped,
}

impl Presence {
    /// Nothing known yet of the pages that `addresses` touch.
    pub(super) fn of(addresses: &Range<u64>) -> Presence {
        let first = addresses.start / PAGE;
        let pages = addresses.end.div_ceil(PAGE).saturating_sub(first);
        Presence {
            first,
            pages: vec![State::None; usize::try_from(pages).unwrap_or(0)],
        }
    }

    /// Notes the state of the `bytes` bytes from `address` on.
    pub(super) fn set(&mut self, address: u64, bytes: u64, state: State) {
        for page in address / PAGE..address.saturating_add(bytes).div_ceil(PAGE) {
            let index = page.checked_sub(self.first).and_then(|n| usize::try_from(n).ok());
            if let Some(slot) = index.and_then(|n| self.pages.get_mut(n)) {
                *slot = state;
            }
        }
    }

    /// The state of the page at `address`.
    pub(super) fn get(&self, address: u64) -> State {
        (address / PAGE)
            .checked_sub(self.first)
            .and_then(|n| self.pages.get(usize::try_from(n).ok()?).copied())
            .unwrap_or_default()
    }

    /// Calls `each` with the parts of `addresses` that hold something, wherever it is.
    fn runs(&self, addresses: Range<u64>, mut each: impl FnMut(Range<u64>)) {
        let mut open: Option<u64> = None;
        let mut page = addresses.start / PAGE * PAGE;
        while page < addresses.end {
            match (self.get(page) == State::None, open) {
                (false, None) => open = Some(page.max(addresses.start)),
                (true, Some(start)) => {
                    each(start..page);
                    open = None;
                }
                _ => {}
            }
            page += PAGE;
        }
        if let Some(start) = open {
            each(start..addresses.end);
        }
    }
}

/// The memory of a live process.
#[derive(Debug)]
pub(super) struct ProcessMemory {
    access: Access,
    proc: Proc,
    pid: u32,
}

/// How it is read.
#[derive(Debug)]
enum Access {
    /// `/proc/PID/mem`.
    File(File),
    /// process_vm_readv(2): the file belongs to another user, whom CAP_SYS_PTRACE alone does not overrule.
    Calls,
}

impl ProcessMemory {
    /// Opens `/proc/PID/mem`, or finds that calls do: both take what ptrace(2) calls PTRACE_MODE_ATTACH.
    pub(super) fn open(proc: &Proc, pid: u32) -> Result<ProcessMemory, Why> {
        let opened = |access| ProcessMemory {
            access,
            proc: proc.clone(),
            pid,
        };
        match File::open(format!("/proc/{pid}/mem")) {
            Ok(file) => Ok(opened(Access::File(file))),
            // The rights are looked at before the address, where nothing is mapped.
            Err(error)
                if error.kind() == std::io::ErrorKind::PermissionDenied
                    && copy(pid, 0, &mut [0]) == Err(Errno::EFAULT) =>
            {
                Ok(opened(Access::Calls))
            }
            Err(error) => Err(match error.kind() {
                std::io::ErrorKind::PermissionDenied => Why::denied(),
                std::io::ErrorKind::NotFound => Why::Gone,
                _ => Why::Failed(format!("/proc/{pid}/mem: {error}")),
            }),
        }
    }

    /// Why a read failed: mostly because the process has ended.
    pub(super) fn failure(&self) -> Why {
        let mut byte = [0];
        match self.proc.statm(self.pid) {
            Reading::Absent(Reason::Gone | Reason::NoMemory) => Why::Gone,
            // The memory of before an exec(2) is gone, too.
            _ if matches!(&self.access, Access::File(file) if matches!(file.read_at(&mut byte, 0), Ok(0))) => {
                Why::Gone
            }
            _ => Why::Failed("its records could not be read".to_owned()),
        }
    }
}

/// Copies from another process; the number of bytes, fewer where a page is missing.
fn copy(pid: u32, address: u64, into: &mut [u8]) -> Result<usize, Errno> {
    let (Ok(pid), Ok(base)) = (i32::try_from(pid), usize::try_from(address)) else {
        return Err(Errno::EFAULT);
    };
    let from = RemoteIoVec {
        base,
        len: into.len(),
    };
    process_vm_readv(Pid::from_raw(pid), &mut [IoSliceMut::new(into)], &[from])
}

impl Memory for ProcessMemory {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        match &self.access {
            Access::File(file) => file.read_exact_at(into, address).is_ok(),
            Access::Calls => copy(self.pid, address, into) == Ok(into.len()),
        }
    }

    fn most_bytes(&self) -> u64 {
        let size = self
            .proc
            .statm(self.pid)
            .value()
            .map_or(0, |statm| statm.size_bytes);
        size.saturating_mul(2).saturating_add(1 << 30)
    }

    fn presence(&self, addresses: Range<u64>) -> Option<Presence> {
        let mut presence = Presence::of(&addresses);
        let page_bytes = self.proc.page_bytes();
        let read = self.proc.pagemap(self.pid, addresses, |address, word| {
            if word.is_present() {
                presence.set(address, page_bytes, State::Resident);
            } else if word.is_swapped() {
                presence.set(address, page_bytes, State::Swapped);
            }
        });
        read.value().map(|_| presence)
    }
}
