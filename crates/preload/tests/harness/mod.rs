//! Runs C, C++ and outside programs with libneap.so preloaded, each in a fresh process.
//!
//! Compiles below CARGO_TARGET_TMPDIR. Every run has a time limit, takes its whole process group down
//! with it, and shows what the program printed when it fails. Never preloads into this process.
#![allow(dead_code)] // Each test binary uses a part of it.

pub(crate) mod same;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How a program is run: a name for messages, and the environment that makes it so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    pub(crate) name: &'static str,
    pub(crate) environment: &'static [(&'static str, &'static str)],
}

pub(crate) const MMAP: Mode = Mode {
    name: "mmap",
    environment: &[("NEAP_BACKEND", "mmap")],
};
pub(crate) const BRK: Mode = Mode {
    name: "brk",
    environment: &[("NEAP_BACKEND", "brk")],
};
pub(crate) const MMAP_CHECK: Mode = Mode {
    name: "mmap, check",
    environment: &[("NEAP_BACKEND", "mmap"), ("NEAP_CHECK", "1")],
};
pub(crate) const BRK_CHECK: Mode = Mode {
    name: "brk, check",
    environment: &[("NEAP_BACKEND", "brk"), ("NEAP_CHECK", "1")],
};
pub(crate) const MMAP_ALONE: Mode = Mode {
    name: "mmap, no helper",
    environment: &[("NEAP_BACKEND", "mmap"), ("NEAP_HELPER", "off")],
};
pub(crate) const BRK_ALONE: Mode = Mode {
    name: "brk, no helper",
    environment: &[("NEAP_BACKEND", "brk"), ("NEAP_HELPER", "off")],
};
pub(crate) const BACKENDS: [Mode; 2] = [MMAP, BRK];
pub(crate) const BACKENDS_AND_CHECK: [Mode; 4] = [MMAP, BRK, MMAP_CHECK, BRK_CHECK];
pub(crate) const WITHOUT_HELPER: [Mode; 2] = [MMAP_ALONE, BRK_ALONE];

/// A contract program ends with this status when it cannot run here; its last line says why.
const CANNOT_RUN_HERE: i32 = 77;

/// Why a test does not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something of the machine is missing: the test counts as skipped.
    Skip(String),
    /// What the test is about is not as it should be.
    Fail(String),
}

pub(crate) type Outcome<T = ()> = Result<T, Stop>;

/// What a program left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Fails unless the program ended with status 0; 77 skips.
    pub(crate) fn success(self, what: &str) -> Outcome<Finished> {
        match self.status.code() {
            Some(0) => Ok(self),
            Some(CANNOT_RUN_HERE) => Err(Stop::Skip(self.stderr.trim().to_owned())),
            _ => Err(Stop::Fail(self.describe(what))),
        }
    }

    pub(crate) fn describe(&self, what: &str) -> String {
        let mut text = format!("{what}: {}", self.status);
        for (name, output) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !output.trim().is_empty() {
                // Writing to a String cannot fail.
                let _ = write!(text, "\n--- {name}\n{}", tail(output, 4000));
            }
        }
        text
    }
}

fn tail(text: &str, most: usize) -> &str {
    let from = text.char_indices().rev().nth(most).map_or(0, |(at, _)| at);
    text[from..].trim_end()
}

/// Ends a test: a failure panics, a skip is told on standard error and in the list that
/// `cargo xtask test` prints.
pub(crate) fn conclude(outcome: Outcome) {
    match outcome {
        Ok(()) => {}
        Err(Stop::Fail(message)) => panic!("{message}"),
        Err(Stop::Skip(reason)) => {
            let thread = std::thread::current();
            let line = format!("{}: {reason}\n", thread.name().unwrap_or("a test"));
            // Not eprint!: the test runner would keep that to itself.
            let _ = std::io::stderr().write_all(format!("skipped: {line}").as_bytes());
            if let Some(list) = std::env::var_os("NEAP_TEST_SKIPPED") {
                let list = fs::OpenOptions::new().create(true).append(true).open(list);
                let _ = list.and_then(|mut l| l.write_all(line.as_bytes()));
            }
        }
    }
}

/// The library under test.
pub(crate) fn library() -> PathBuf {
    let path = match std::env::var_os("NEAP_LIB") {
        Some(path) => PathBuf::from(path),
        None => target().join("release/libneap.so"),
    };
    assert!(
        path.is_file(),
        "there is no {}: run `cargo build --release -p neap-preload` first",
        path.display()
    );
    path
}

/// The target directory: CARGO_TARGET_TMPDIR is `TARGET/tmp`.
fn target() -> &'static Path {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    tmp.parent().unwrap_or(tmp)
}

/// The folder of these tests.
pub(crate) fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// A fresh empty folder. Those of earlier runs are removed.
pub(crate) fn scratch(name: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let all = target().join("tmp/scratch");
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    if number == 0 {
        for old in fs::read_dir(&all).into_iter().flatten().flatten() {
            if !Path::new("/proc").join(old.file_name()).exists() {
                let _ = fs::remove_dir_all(old.path());
            }
        }
    }
    let folder = all
        .join(std::process::id().to_string())
        .join(format!("{number}-{name}"));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Where a program lies, from PATH. Missing it is a skip, and a failure under NEAP_TEST_ALL=1.
pub(crate) fn program(name: &str) -> Outcome<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
    {
        Some(file) => Ok(file),
        None => missing(name),
    }
}

/// Says that an outside program (or a part of one) is missing.
pub(crate) fn missing<T>(name: &str) -> Outcome<T> {
    let reason = format!("{name} is not installed");
    Err(if std::env::var_os("NEAP_TEST_ALL").is_some_and(|v| v == "1") {
        Stop::Fail(format!("{reason}, and NEAP_TEST_ALL=1 asks for every test"))
    } else {
        Stop::Skip(reason)
    })
}

/// Compiles `tests/c/NAME`, once for each process and flags, and returns the program.
pub(crate) fn compile(name: &str, flags: &[&str]) -> Outcome<PathBuf> {
    static BUILT: Mutex<Vec<(String, PathBuf)>> = Mutex::new(Vec::new());
    let (compiler, standard) = match name.ends_with(".cpp") {
        true => ("c++", "-std=c++17"),
        false => ("cc", "-std=gnu11"),
    };
    let compiler = program(compiler)?;
    let key = format!("{name} {}", flags.join(" "));
    // Held while compiling: two tests that want the same program wait for one compilation.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, program)) = built.iter().find(|(k, _)| *k == key) {
        return Ok(program.clone());
    }
    let source = tests().join("c").join(name);
    let out = scratch("compile").join(name.split('.').next().unwrap_or(name));
    let mut command = Command::new(compiler);
    // -fno-builtin: the compiler may otherwise delete calls that the test is about.
    command
        .args([standard, "-O1", "-g", "-fno-builtin", "-pthread", "-w", "-o"])
        .arg(&out)
        .arg(&source)
        .args(flags);
    run(&mut command, Duration::from_secs(120))?.success(&format!("compiling {name}"))?;
    built.push((key, out.clone()));
    Ok(out)
}

/// A command with the library preloaded in this mode and every other NEAP_ variable unset.
pub(crate) fn preloaded(program: &Path, mode: Mode) -> Command {
    let mut command = plain(program);
    command.env("LD_PRELOAD", library());
    command.envs(mode.environment.iter().copied());
    command
}

/// A command without the library.
pub(crate) fn plain(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        // What cargo sets for tests would change what the programs do.
        if text.starts_with("NEAP_")
            || text.starts_with("CARGO")
            || text == "LD_PRELOAD"
            || text == "LD_LIBRARY_PATH"
        {
            command.env_remove(&name);
        }
    }
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        command.env("CARGO_HOME", home);
    }
    command
}

/// Runs a command to its end, at most `limit` long, in a process group of its own.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Outcome<Finished> {
    let folder = scratch("run");
    let (out, err) = (folder.join("stdout"), folder.join("stderr"));
    let shown = show(command);
    let create = |path: &Path| File::create(path).map_err(|e| Stop::Fail(format!("{}: {e}", path.display())));
    command
        .stdin(Stdio::null())
        .stdout(create(&out)?)
        .stderr(create(&err)?)
        .process_group(0);
    let mut child = command.spawn().map_err(|e| Stop::Fail(format!("{shown}: {e}")))?;
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(3)),
            Ok(None) => break None,
            Err(e) => return Err(Stop::Fail(format!("{shown}: {e}"))),
        }
    };
    let stuck = if status.is_none() {
        where_it_is(child.id())
    } else {
        String::new()
    };
    kill_group(child.id());
    let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let finished = Finished {
        status: status.unwrap_or(ExitStatus::from_raw(9)),
        stdout: text(&out),
        stderr: text(&err),
    };
    let _ = fs::remove_dir_all(&folder);
    match status {
        Some(_) => Ok(finished),
        None => {
            let _ = child.wait();
            let told = finished.describe(&shown);
            Err(Stop::Fail(format!(
                "still running after {} s\n{stuck}{told}",
                limit.as_secs()
            )))
        }
    }
}

/// A command as one would type it, without its environment.
pub(crate) fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|w| w.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// State and kernel wait of every task of a process, for a program that does not end.
fn where_it_is(pid: u32) -> String {
    let mut text = String::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let status = read("status");
        let state = status
            .lines()
            .find(|l| l.starts_with("State:"))
            .unwrap_or_default();
        let _ = writeln!(text, "task {:?}: {state}, in {}", task.file_name(), read("wchan"));
    }
    text
}

/// Ends what the program left running. The group is the program's own.
fn kill_group(leader: u32) {
    let _ = Command::new("kill")
        .args(["-KILL", "--", &format!("-{leader}")])
        .stderr(Stdio::null())
        .status();
}

/// Runs the contract program `name` in every mode; it must end with status 0 in all of them.
pub(crate) fn contract(name: &str, modes: &[Mode]) {
    contract_with(name, modes, &[]);
}

/// The same with arguments for the program.
pub(crate) fn contract_with(name: &str, modes: &[Mode], arguments: &[&str]) {
    conclude(compile(name, &[]).and_then(|program| in_modes(&program, modes, arguments).map(drop)));
}

/// Runs a program in every mode. Failures of all modes are told together; a skip is told when no mode fails.
pub(crate) fn in_modes(program: &Path, modes: &[Mode], arguments: &[&str]) -> Outcome<Vec<Finished>> {
    let mut failures = Vec::new();
    let mut skip = None;
    let mut finished = Vec::new();
    for &mode in modes {
        let mut command = preloaded(program, mode);
        command.args(arguments);
        let what = format!(
            "{} {} [{}]",
            program.file_name().unwrap_or_default().display(),
            arguments.join(" "),
            mode.name
        );
        match run(&mut command, time_limit()).and_then(|f| f.success(&what)) {
            Ok(one) => finished.push(one),
            Err(Stop::Skip(reason)) => skip = Some(reason),
            Err(Stop::Fail(message)) => failures.push(format!("[{}] {message}", mode.name)),
        }
    }
    match (failures.is_empty(), skip) {
        (false, _) => Err(Stop::Fail(failures.join("\n"))),
        (true, Some(reason)) => Err(Stop::Skip(reason)),
        (true, None) => Ok(finished),
    }
}

/// For one run of a contract program: generous, for a machine that is doing other things too.
pub(crate) fn time_limit() -> Duration {
    static LIMIT: OnceLock<Duration> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let seconds = std::env::var("NEAP_TEST_SECONDS")
            .ok()
            .and_then(|s| s.parse().ok());
        Duration::from_secs(seconds.unwrap_or(90))
    })
}
