//! One run of one command: time, processor time and peak resident memory, and what it wrote.
//!
//! The kernel counts into a process's peak what its memory was before exec, which is its parent's. So
//! commands are started by `neap-load launch`, which is smaller than anything it starts.

use crate::peers::Allocator;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A command to be measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Job {
    pub(crate) program: PathBuf,
    pub(crate) words: Vec<OsString>,
    /// Its own part of the environment.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) directory: Option<PathBuf>,
    /// What it reads from standard input; nothing if none.
    pub(crate) input: Option<PathBuf>,
}

/// What one run took.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) wall_s: f64,
    /// User and system time of the process, all its threads, and the children it waited for.
    pub(crate) cpu_s: f64,
    /// Of the largest of these processes.
    pub(crate) peak_rss_bytes: f64,
    pub(crate) output: Vec<u8>,
}

/// Starts commands.
pub(crate) struct Launcher {
    load: PathBuf,
    scratch: PathBuf,
}

/// Variables that change how an allocator works: a run has only those that belong to it.
const FOREIGN: [&str; 5] = [
    "LD_PRELOAD",
    "MALLOC_CONF",
    "GLIBC_TUNABLES",
    "NEAP_HELPER",
    "NEAP_BACKEND",
];

impl Launcher {
    /// `load` is the program `neap-load`; in `scratch` it leaves what it measured.
    pub(crate) fn new(load: &Path, scratch: &Path) -> Launcher {
        Launcher {
            load: load.to_owned(),
            scratch: scratch.to_owned(),
        }
    }

    /// Runs `job` under `allocator`. An exit status other than 0 is an error that quotes the end of what was said.
    pub(crate) fn run(&self, job: &Job, allocator: &Allocator) -> Result<Sample, String> {
        let record = self.scratch.join("launched");
        let mut command = Command::new(&self.load);
        command.arg("launch").arg(&record);
        for (name, value) in allocator.environment().iter().chain(&job.env) {
            command.arg(format!("{name}={value}"));
        }
        command.arg("--").arg(&job.program).args(&job.words);
        for name in FOREIGN {
            command.env_remove(name);
        }
        if let Some(directory) = &job.directory {
            command.current_dir(directory);
        }
        match &job.input {
            Some(path) => {
                let file = std::fs::File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
                command.stdin(file);
            }
            None => {
                command.stdin(Stdio::null());
            }
        }
        let output = command
            .output()
            .map_err(|e| format!("{}: {e}", self.load.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last: Vec<&str> = said.lines().rev().take(3).collect();
            return Err(format!(
                "{}: {} {}",
                job.program.display(),
                output.status,
                last.join(" | ")
            ));
        }
        let text = std::fs::read_to_string(&record).map_err(|e| format!("{}: {e}", record.display()))?;
        let figures: Vec<f64> = text.split_whitespace().filter_map(|w| w.parse().ok()).collect();
        let [wall_s, cpu_s, peak_rss_bytes] = figures[..] else {
            return Err(format!("{}: {text}", record.display()));
        };
        Ok(Sample {
            wall_s,
            cpu_s,
            peak_rss_bytes,
            output: output.stdout,
        })
    }
}
