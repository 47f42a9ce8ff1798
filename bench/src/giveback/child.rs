//! The C programs of `giveback/c`: compiled, started under an allocator, spoken to line by line.
//!
//! Owns the protocol. A child writes a line when something is done and blocks in read(2) until it is
//! sent a byte, so what it does between two lines is the workload and nothing else. A child never
//! outlives its [`Child`].

use super::subject::Subject;
use neap_proc::read::Proc;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const HEADER: (&str, &str) = ("child.h", include_str!("c/child.h"));
const PROGRAMS: [(&str, &str); 5] = [
    ("burst", include_str!("c/burst.c")),
    ("cycle", include_str!("c/cycle.c")),
    ("latency", include_str!("c/latency.c")),
    ("threads", include_str!("c/threads.c")),
    ("peak", include_str!("c/peak.c")),
];

/// Longer than anything takes, under any allocator.
const PATIENCE: Duration = Duration::from_secs(120);

/// The compiled programs.
pub(crate) struct Programs(PathBuf);

impl Programs {
    /// Compiles them into `directory` with `CC`, or `cc`.
    pub(crate) fn compile(directory: &Path) -> Result<Programs, String> {
        fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
        };
        write(HEADER.0, HEADER.1)?;
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        for (name, text) in PROGRAMS {
            let source = format!("{name}.c");
            write(&source, text)?;
            let output = Command::new(&compiler)
                .current_dir(directory)
                .args([
                    "-std=gnu17",
                    "-O2",
                    "-fno-builtin",
                    "-pthread",
                    "-o",
                    name,
                    &source,
                    "-lm",
                ])
                .output()
                .map_err(|e| format!("{}: {e}", Path::new(&compiler).display()))?;
            if !output.status.success() {
                return Err(format!("{source}: {}", String::from_utf8_lossy(&output.stderr)));
            }
        }
        Ok(Programs(directory.to_owned()))
    }

    /// Starts `program` under `subject`. `peak` gets the library handed on, not preloaded.
    pub(crate) fn start(&self, program: &str, words: &[String], subject: &Subject) -> Result<Child, String> {
        let mut command = Command::new(self.0.join(program));
        command
            .args(words)
            .env_remove("LD_PRELOAD")
            .env_remove("MALLOC_CONF")
            .env_remove("GLIBC_TUNABLES")
            .env_remove("NEAP_HELPER")
            .env_remove("NEAP_BACKEND");
        for (name, value) in &subject.env {
            command.env(name, value);
        }
        if let Some(library) = &subject.library {
            let variable = if program == "peak" {
                "PRELOAD"
            } else {
                "LD_PRELOAD"
            };
            command.env(variable, library);
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{program}: {e}"))?;
        let (sender, lines) = channel();
        if let Some(output) = process.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send((Instant::now(), line)).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Child {
            process,
            lines,
            who: format!("{program} {} under {}", words.join(" "), subject.name),
        })
    }

    /// Runs `program` to its end and returns what it said.
    pub(crate) fn run(
        &self,
        program: &str,
        words: &[String],
        subject: &Subject,
    ) -> Result<Vec<Line>, String> {
        let mut child = self.start(program, words, subject)?;
        let mut all = Vec::new();
        while let Some(line) = child.next_line(PATIENCE)? {
            all.push(line);
        }
        child.end()?;
        Ok(all)
    }
}

/// A line of a child, and when it came.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) at: Instant,
    pub(crate) words: Vec<String>,
}

impl Line {
    /// The word with this number, as a number.
    pub(crate) fn number(&self, n: usize) -> Result<f64, String> {
        self.words
            .get(n)
            .and_then(|word| word.parse().ok())
            .ok_or_else(|| format!("no number {n} in {:?}", self.words))
    }
}

/// A running child; killed when dropped.
pub(crate) struct Child {
    process: process::Child,
    lines: Receiver<(Instant, String)>,
    who: String,
}

impl Child {
    fn next_line(&mut self, patience: Duration) -> Result<Option<Line>, String> {
        match self.lines.recv_timeout(patience) {
            Ok((at, line)) if !line.starts_with("failed") => Ok(Some(Line {
                at,
                words: line.split_whitespace().map(str::to_owned).collect(),
            })),
            Ok((_, line)) => Err(format!("{}: {line}", self.who)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(format!("{}: silent for too long", self.who)),
        }
    }

    /// Waits for the line that begins with `word`; calls `meanwhile` every 20 ms.
    pub(crate) fn expect(&mut self, word: &str, mut meanwhile: impl FnMut(&Child)) -> Result<Line, String> {
        let start = Instant::now();
        loop {
            match self.lines.recv_timeout(Duration::from_millis(20)) {
                Err(RecvTimeoutError::Timeout) if start.elapsed() < PATIENCE => meanwhile(self),
                Ok((at, line)) if line.split_whitespace().next() == Some(word) => {
                    let words = line.split_whitespace().map(str::to_owned).collect();
                    return Ok(Line { at, words });
                }
                other => return Err(format!("{}: wanted {word}, got {other:?}", self.who)),
            }
        }
    }

    /// Lets the child go on.
    pub(crate) fn go_on(&mut self) -> Result<(), String> {
        let Some(input) = self.process.stdin.as_mut() else {
            return Err(format!("{}: no input", self.who));
        };
        input.write_all(b"g").map_err(|e| format!("{}: {e}", self.who))
    }

    /// Resident bytes by smaps_rollup, which walks the page tables and is exact.
    pub(crate) fn resident(&self) -> Result<u64, String> {
        let rollup = Proc::default().smaps_rollup(self.process.id());
        let rss = rollup.as_value().and_then(|r| r.rss_bytes);
        rss.ok_or_else(|| format!("{}: smaps_rollup: {:?}", self.who, rollup.reason()))
    }

    /// Resident bytes that the kernel may take (MADV_FREE): in RSS all the same.
    pub(crate) fn lazily_free(&self) -> u64 {
        let rollup = Proc::default().smaps_rollup(self.process.id());
        rollup.value().and_then(|r| r.lazy_free_bytes).unwrap_or(0)
    }

    /// Resident bytes by statm, which costs the child nothing. For curves.
    pub(crate) fn resident_roughly(&self) -> Option<u64> {
        let statm = Proc::default().statm(self.process.id());
        statm.value().map(|statm| statm.resident_bytes)
    }

    /// Waits for the child's end, which must be a good one.
    pub(crate) fn end(mut self) -> Result<(), String> {
        drop(self.process.stdin.take());
        let status = self.process.wait().map_err(|e| format!("{}: {e}", self.who))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{}: {status}", self.who))
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
