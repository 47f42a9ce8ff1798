//! [`Tools`]: the programs that are measured, and what one run of one costs.

use super::Effort;
use crate::contest::Contender;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use wait4::Wait4 as _;

/// Where things are.
pub(crate) struct Tools {
    /// The built `neap`.
    pub(crate) neap: PathBuf,
    /// The workloads, `neap-load`.
    pub(crate) load: PathBuf,
    pub(crate) library: PathBuf,
    /// A folder for files, which goes with this.
    pub(crate) folder: PathBuf,
    pub(crate) effort: Effort,
}

/// What a run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    /// User and system time, with children that were waited for.
    pub(crate) cpu: Duration,
}

/// Which part of a cost is the figure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Figure {
    Wall,
    Cpu,
}

/// A program and its words.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    program: PathBuf,
    words: Vec<OsString>,
    env: Vec<(&'static str, OsString)>,
}

impl Tools {
    /// `full`, or a part of it that suffices to see whether it works.
    pub(crate) const fn scaled(&self, full: u64) -> u64 {
        match self.effort {
            Effort::Quick => full.div_ceil(16),
            Effort::Full => full,
        }
    }

    /// `neap WORDS`.
    pub(crate) fn neap<W: Into<OsString>>(&self, words: impl IntoIterator<Item = W>) -> Words {
        Words::new(&self.neap, words).with("NEAP_LIB", self.library.clone())
    }
}

impl Drop for Tools {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Words {
    pub(crate) fn new<W: Into<OsString>>(program: &Path, words: impl IntoIterator<Item = W>) -> Words {
        Words {
            program: program.to_owned(),
            words: words.into_iter().map(Into::into).collect(),
            env: Vec::new(),
        }
    }

    /// A program of the system, and words that hold no blanks.
    pub(crate) fn of(line: &str) -> Words {
        let mut words = line.split_whitespace();
        let program = Path::new(words.next().unwrap_or_default());
        Words::new(program, words)
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<OsString>) -> Words {
        self.env.push((name, value.into()));
        self
    }

    pub(crate) fn and<W: Into<OsString>>(mut self, word: W) -> Words {
        self.words.push(word.into());
        self
    }

    /// Runs it once. A status other than 0 is an error that quotes what was said.
    pub(crate) fn run(&self) -> Result<Cost, String> {
        let name = self.program.file_name().unwrap_or_default().display();
        let mut command = Command::new(&self.program);
        command
            .args(&self.words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        for foreign in ["LD_PRELOAD", "NEAP_BOARD", "NEAP_HELPER", "NEAP_BACKEND"] {
            command.env_remove(foreign);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let start = Instant::now();
        let mut child = command.spawn().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => format!("{name} is not installed"),
            _ => format!("{name}: {e}"),
        })?;
        let said = child.stderr.take().map(std::io::read_to_string).transpose();
        let ended = child.wait4().map_err(|e| format!("{name}: {e}"))?;
        let wall = start.elapsed();
        if !ended.status.success() {
            let said = said.ok().flatten().unwrap_or_default();
            let first = said.lines().next().unwrap_or_default().to_owned();
            return Err(format!("{name}: {}: {first}", ended.status));
        }
        Ok(Cost {
            wall,
            cpu: ended.rusage.utime + ended.rusage.stime,
        })
    }

    /// A contender whose figure is the milliseconds of a run.
    pub(crate) fn contender(self, name: &'static str, figure: Figure) -> Contender {
        self.prepared(name, figure, || Ok(()))
    }

    /// The same; `prepare` comes before each run and is not measured.
    pub(crate) fn prepared(
        self,
        name: &'static str,
        figure: Figure,
        mut prepare: impl FnMut() -> Result<(), String> + 'static,
    ) -> Contender {
        Contender::new(name, move || {
            prepare()?;
            let cost = self.run()?;
            let time = match figure {
                Figure::Wall => cost.wall,
                Figure::Cpu => cost.cpu,
            };
            Ok(time.as_secs_f64() * 1e3)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_installed_or_fails_is_named() {
        let missing = Words::of("no-such-program-of-anybody's -x").run();
        assert_eq!(
            missing.unwrap_err(),
            "no-such-program-of-anybody's is not installed"
        );
        let failed = Words::new(Path::new("sh"), ["-c", "echo why >&2; exit 3"])
            .run()
            .unwrap_err();
        assert_eq!(failed, "sh: exit status: 3: why");
    }

    #[test]
    fn a_run_that_sleeps_takes_time_and_no_processor() {
        let cost = Words::of("sleep 0.2").run().unwrap();
        assert!(
            cost.wall >= Duration::from_millis(200) && cost.cpu < cost.wall,
            "{cost:?}"
        );
    }
}
