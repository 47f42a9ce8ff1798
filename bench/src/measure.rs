//! One run of one command: time, processor time and peak resident memory, and what it wrote.
//!
//! The kernel counts into a process's peak what its memory was before exec, which is its parent's. So
//! commands are started by `neap-load launch`, which is smaller than anything it starts.

use crate::peers::Allocator;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A command to be measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Job {
    pub(crate) program: PathBuf,
    pub(crate) words: Vec<OsString>,
    /// Its own part of the environment.
    pub(crate) env: Vec<(String, String)>,
    /// What it reads from standard input; nothing if none.
    pub(crate) input: Option<PathBuf>,
    /// Whether it is linked with another allocator than the C library's: then the C library's, too, serves it
    /// only when preloaded.
    pub(crate) links_an_allocator: bool,
    /// What a server needs to have something to do.
    pub(crate) driver: Option<Driver>,
}

/// A shell script that runs beside a command, under no allocator of ours, and makes it end. Its output is
/// the command's.
#[derive(Clone, Debug)]
pub(crate) struct Driver {
    pub(crate) script: String,
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
        for (name, value) in environment(job, allocator) {
            command.arg(format!("{name}={value}"));
        }
        command.arg("--").arg(&job.program).args(&job.words);
        for name in FOREIGN {
            command.env_remove(name);
        }
        let input = match &job.input {
            Some(path) => Stdio::from(File::open(path).map_err(|e| format!("{}: {e}", path.display()))?),
            None => Stdio::null(),
        };
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = command
            .spawn()
            .map_err(|e| format!("{}: {e}", self.load.display()))?;
        let driven = job.driver.as_ref().map(Driver::run).transpose()?;
        let output = started.wait_with_output().map_err(|e| e.to_string())?;
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
            output: driven.unwrap_or(output.stdout),
        })
    }
}

impl Driver {
    fn run(&self) -> Result<Vec<u8>, String> {
        let output = Command::new("sh").arg("-c").arg(&self.script).output();
        output.map(|o| o.stdout).map_err(|e| format!("sh: {e}"))
    }
}

/// What a run of `job` has beside the environment of this process.
fn environment(job: &Job, allocator: &Allocator) -> Vec<(String, String)> {
    let mut environment = allocator.environment();
    if job.links_an_allocator && allocator.library.is_none() {
        environment.push(("LD_PRELOAD".to_owned(), "libc.so.6".to_owned()));
    }
    environment.extend(job.env.iter().cloned());
    environment
}
