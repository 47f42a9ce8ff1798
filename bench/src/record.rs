//! What a record says about where it was made, and the directory it lies in.

use crate::peers::said;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where and of what a record was made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    /// With `-dirty` if what is measured differs from it.
    pub(crate) commit: String,
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    pub(crate) system: String,
    pub(crate) libc: String,
    /// `/sys/kernel/mm/transparent_hugepage/enabled`.
    pub(crate) thp: String,
    pub(crate) rustc: String,
    pub(crate) cc: String,
    /// When it began: 1, 5, 15 minutes.
    pub(crate) load: String,
}

impl Machine {
    pub(crate) fn look() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|l| l.starts_with(name)).unwrap_or_default();
            let value = line.split_once([':', '=']).map_or("", |(_, v)| v);
            value.trim().trim_matches('"').to_owned()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib: f64 = memory.trim_end_matches(" kB").parse().unwrap_or(0.0);
        Machine {
            date: said(Command::new("date").args(["-u", "+%Y-%m-%d"])),
            commit: commit(),
            processor: field(&read("/proc/cpuinfo"), "model name"),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: (kib / 1_048_576.0 * 10.0).round() / 10.0,
            kernel: read("/proc/sys/kernel/osrelease"),
            system: field(&read("/etc/os-release"), "PRETTY_NAME"),
            libc: said(Command::new("getconf").arg("GNU_LIBC_VERSION")),
            thp: read("/sys/kernel/mm/transparent_hugepage/enabled"),
            rustc: said(Command::new("rustc").arg("--version")),
            cc: said(Command::new("cc").arg("--version"))
                .lines()
                .next()
                .unwrap_or("")
                .to_owned(),
            load: read("/proc/loadavg"),
        }
    }

    /// `bench/record/DATE-COMMIT`, made if it is not there.
    pub(crate) fn directory(&self) -> Result<PathBuf, String> {
        let name = format!("{}-{}", self.date, self.commit);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("record").join(name);
        fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(path)
    }

    /// One fact a line.
    pub(crate) fn text(&self) -> String {
        let thp = if self.thp.is_empty() {
            "not in this kernel"
        } else {
            &self.thp
        };
        format!(
            "- {}, commit {}\n- {}, {} processors, {} GiB\n- {}, Linux {}, {}\n- transparent huge pages: {thp}\n\
             - {}; {}\n- load when it began: {}\n",
            self.date,
            self.commit,
            self.processor,
            self.processors,
            self.memory_gib,
            self.system,
            self.kernel,
            self.libc,
            self.rustc,
            self.cc,
            self.load,
        )
    }
}

fn commit() -> String {
    let head = said(git().args(["rev-parse", "--short", "HEAD"]));
    let changed = said(git().args(["status", "--porcelain", "--", "../crates", "src", "peers"]));
    if changed.is_empty() {
        head
    } else {
        format!("{head}-dirty")
    }
}

fn git() -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(env!("CARGO_MANIFEST_DIR"));
    git
}

/// Writes one file of a record.
pub(crate) fn put(directory: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    let path = directory.join(name);
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}
