//! The files of one process, each as a [`Reading`].

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::parse::{self, Limits, Maps, SmapsRollup, Stat, Statm, Status};
use crate::{Reading, Reason};

/// ESRCH: no such process, or one without memory.
const ESRCH: i32 = 3;

/// A `/proc`: the running kernel's, or a recorded copy in tests.
#[derive(Clone, Debug)]
pub struct Proc {
    root: PathBuf,
    page_bytes: u64,
    ticks_per_second: u64,
}

impl Default for Proc {
    fn default() -> Proc {
        let page_bytes = u64::try_from(neap_os::env::page_size()).unwrap_or(4096);
        Proc {
            root: PathBuf::from("/proc"),
            page_bytes,
            ticks_per_second: neap_os::env::clock_ticks_per_second(),
        }
    }
}

impl Proc {
    /// A copy of `/proc` under `root`, of a machine with pages of `page_bytes` and 100 ticks a second.
    #[must_use]
    pub fn recorded(root: impl Into<PathBuf>, page_bytes: u64) -> Proc {
        Proc {
            root: root.into(),
            page_bytes,
            ticks_per_second: 100,
        }
    }

    /// Bytes of a page, in which `statm` counts.
    #[must_use]
    pub fn page_bytes(&self) -> u64 {
        self.page_bytes
    }

    /// Clock ticks of a second, in which `stat` counts CPU time.
    #[must_use]
    pub fn ticks_per_second(&self) -> u64 {
        self.ticks_per_second.max(1)
    }

    /// Whose the files of a process are: its effective user, or root when the kernel keeps them from that
    /// user (proc(5), *dumpable*). Costs a fraction of reading `status`.
    pub fn owner(&self, pid: u32) -> Reading<u32> {
        match fs::metadata(self.folder(pid)) {
            Ok(metadata) => Reading::Value(metadata.uid()),
            Err(error) => self.missing(pid, &error),
        }
    }

    /// `/proc/PID/statm`.
    pub fn statm(&self, pid: u32) -> Reading<Statm> {
        self.bytes(pid, "statm")
            .and_then(|bytes| match Statm::parse(&bytes, self.page_bytes) {
                Ok(statm) if statm.size_bytes == 0 => Reading::Absent(Reason::NoMemory),
                Ok(statm) => Reading::Value(statm),
                Err(_) => Reading::Absent(Reason::Malformed),
            })
    }

    /// `/proc/PID/stat`.
    pub fn stat(&self, pid: u32) -> Reading<Stat> {
        self.bytes(pid, "stat")
            .and_then(|bytes| match Stat::parse(&bytes) {
                Ok(stat) => Reading::Value(stat),
                Err(_) => Reading::Absent(Reason::Malformed),
            })
    }

    /// `/proc/PID/status`.
    pub fn status(&self, pid: u32) -> Reading<Status> {
        self.bytes(pid, "status").map(|bytes| Status::parse(&bytes))
    }

    /// `/proc/PID/smaps_rollup`. Milliseconds for a large process.
    pub fn smaps_rollup(&self, pid: u32) -> Reading<SmapsRollup> {
        self.of_memory(pid, "smaps_rollup", SmapsRollup::parse)
    }

    /// `/proc/PID/maps`.
    pub fn maps(&self, pid: u32) -> Reading<Maps> {
        self.of_memory(pid, "maps", Maps::parse)
    }

    /// `/proc/PID/limits`.
    pub fn limits(&self, pid: u32) -> Reading<Limits> {
        self.bytes(pid, "limits").map(|bytes| Limits::parse(&bytes))
    }

    /// `/proc/PID/cmdline`, its arguments; none for a zombie or a kernel thread.
    pub fn command_line(&self, pid: u32) -> Reading<Vec<String>> {
        self.bytes(pid, "cmdline").map(|bytes| {
            let trimmed = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
            let arguments = trimmed.split(|&byte| byte == 0);
            arguments
                .filter(|_| !bytes.is_empty())
                .map(|a| String::from_utf8_lossy(a).into_owned())
                .collect()
        })
    }

    /// The children of every thread of a process. `Absent(NotInThisKernel)` without CONFIG_PROC_CHILDREN.
    pub fn children(&self, pid: u32) -> Reading<Vec<u32>> {
        let tasks = self.root.join(pid.to_string()).join("task");
        let threads = match numbered(&tasks) {
            Ok(threads) => threads,
            Err(error) => return self.missing(pid, &error),
        };
        let mut pids = Vec::new();
        for thread in threads {
            match fs::read(tasks.join(thread.to_string()).join("children")) {
                Ok(bytes) => pids.extend(parse::children(&bytes)),
                // A thread that ended has handed its children to another one of the process.
                Err(_) if !tasks.join(thread.to_string()).exists() => {}
                Err(error) => return self.missing(pid, &error),
            }
        }
        Reading::Value(pids)
    }

    /// Every process there is.
    pub fn pids(&self) -> Reading<Vec<u32>> {
        match numbered(&self.root) {
            Ok(pids) => Reading::Value(pids),
            Err(error) => Reading::Absent(Reason::Failed(error.raw_os_error().unwrap_or(0))),
        }
    }

    /// Whether it is the running kernel's, which answers more than reads.
    pub(super) fn is_running_kernels(&self) -> bool {
        self.root == Path::new("/proc")
    }

    /// `/proc/PID`.
    pub(super) fn folder(&self, pid: u32) -> PathBuf {
        self.root.join(pid.to_string())
    }

    /// A file that is empty for a process without memory.
    fn of_memory<T>(&self, pid: u32, file: &str, parse: fn(&[u8]) -> T) -> Reading<T> {
        self.bytes(pid, file).and_then(|bytes| match bytes.is_empty() {
            true => Reading::Absent(Reason::NoMemory),
            false => Reading::Value(parse(&bytes)),
        })
    }

    fn bytes(&self, pid: u32, file: &str) -> Reading<Vec<u8>> {
        match fs::read(self.root.join(pid.to_string()).join(file)) {
            Ok(bytes) => Reading::Value(bytes),
            Err(error) => self.missing(pid, &error),
        }
    }

    pub(super) fn missing<T>(&self, pid: u32, error: &io::Error) -> Reading<T> {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Reading::Denied,
            io::ErrorKind::NotFound if self.root.join(pid.to_string()).exists() => {
                Reading::Absent(Reason::NotInThisKernel)
            }
            io::ErrorKind::NotFound => Reading::Absent(Reason::Gone),
            // Files about its memory of a process that has none; or it ended after the file was opened.
            _ if error.raw_os_error() == Some(ESRCH) => match self.folder(pid).exists() {
                true => Reading::Absent(Reason::NoMemory),
                false => Reading::Absent(Reason::Gone),
            },
            _ => Reading::Absent(Reason::Failed(error.raw_os_error().unwrap_or(0))),
        }
    }
}

/// The entries of a folder whose names are numbers.
fn numbered(folder: &Path) -> io::Result<Vec<u32>> {
    let names = fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| name.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> u32 {
        std::process::id()
    }

    #[test]
    fn this_process_can_be_read() {
        let proc = Proc::default();
        let statm = proc.statm(me()).value().unwrap();
        assert!(statm.resident_bytes > 0 && statm.size_bytes >= statm.resident_bytes);
        let status = proc.status(me()).value().unwrap();
        assert_eq!(status.pid, Some(me()));
        assert!(status.resident_peak_bytes.unwrap() > 0);
        assert_eq!(proc.stat(me()).value().unwrap().pid, me());
        assert!(proc.maps(me()).value().unwrap().unknown_lines == 0);
        assert!(!proc.command_line(me()).value().unwrap().is_empty());
    }

    #[test]
    fn a_process_that_is_not_there_is_gone_and_not_zero() {
        assert_eq!(Proc::default().statm(u32::MAX), Reading::Absent(Reason::Gone));
        assert_eq!(Proc::default().children(u32::MAX), Reading::Absent(Reason::Gone));
    }

    #[test]
    fn a_file_that_is_not_there_is_not_in_this_kernel() {
        let root = std::env::temp_dir().join(format!("neap-proc-{}", me()));
        std::fs::create_dir_all(root.join("5")).unwrap();
        std::fs::write(root.join("5/statm"), b"0 0 0 0 0 0 0\n").unwrap();
        let proc = Proc::recorded(&root, 4096);
        assert_eq!(proc.smaps_rollup(5), Reading::Absent(Reason::NotInThisKernel));
        assert_eq!(proc.statm(5), Reading::Absent(Reason::NoMemory));
        std::fs::remove_dir_all(root).unwrap();
    }
}
