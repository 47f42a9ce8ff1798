//! `neap export`: once, served, scraped by the real Prometheus, and the files of contrib/.

mod client;
mod contrib;
mod once;
mod prometheus;
mod served;

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};

/// A child that is ended with the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Running {
        Running(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// A process that does nothing for a minute, so that its figures stand still.
    fn idle() -> Running {
        let running = Running::start(Command::new("sleep").arg("60"));
        // The parent goes on before execve(2) has put the program in place.
        crate::support::wait_until("sleep to be there", || running.status("Name") == "sleep");
        running
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    /// A line of /proc/PID/status.
    fn status(&self, key: &str) -> String {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_owned()
    }

    /// A line of /proc/PID/status in kB, as bytes.
    fn bytes(&self, key: &str) -> f64 {
        let kilobytes: f64 = self.status(key).trim_end_matches(" kB").parse().unwrap();
        kilobytes * 1024.0
    }

    fn end(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The samples of a text by what stands before the value. Labels of the tests hold no blanks.
fn samples(text: &str) -> HashMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

/// The only sample of a process in a family, with more labels than pid and name.
#[track_caller]
fn of_process(samples: &HashMap<String, f64>, family: &str, pid: &str, more: &str) -> f64 {
    let start = format!("{family}{{pid=\"{pid}\",");
    let mut found = samples
        .iter()
        .filter(|(series, _)| series.starts_with(&start) && series.contains(more));
    let value = *found.next().unwrap_or_else(|| panic!("no {start} {more}")).1;
    assert_eq!(found.next(), None);
    value
}

/// Whether a process has a series in a family.
fn has(samples: &HashMap<String, f64>, family: &str, pid: &str) -> bool {
    let start = format!("{family}{{pid=\"{pid}\",");
    samples.keys().any(|series| series.starts_with(&start))
}

/// The library, where this user may look into a process that is not its child; else skips the test that called.
fn library_and_rights(test: &str) -> Option<std::path::PathBuf> {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    if !rustix::process::geteuid().is_root() && !matches!(scope.trim(), "" | "0") {
        crate::support::skip(
            test,
            "kernel.yama.ptrace_scope keeps processes that are not children from this user",
        );
        return None;
    }
    crate::support::library(test)
}

/// Equal as far as decimal digits allow.
#[track_caller]
fn assert_same(found: f64, wanted: f64, what: &str) {
    assert!(
        (found - wanted).abs() <= wanted.abs() * 1e-9,
        "{what}: {found}, not {wanted}"
    );
}
