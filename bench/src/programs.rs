//! Real programs, with input of our own (`bench/programs/`), each about half a second under glibc.
//!
//! A program that is not installed is left out by name. What a program prints must be the same under every
//! allocator; the caller compares.

use crate::measure::{Driver, Job};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One program with its input.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// The first of these that is installed runs.
    commands: &'static [&'static str],
    /// Its arguments; `{}` is the input, `{tmp}` the scratch directory.
    words: &'static [&'static str],
    input: &'static str,
    env: &'static [(&'static str, &'static str)],
    /// Whether the input is read from standard input.
    reads: bool,
}

const fn program(name: &'static str, what: &'static str, commands: &'static [&'static str]) -> Program {
    Program {
        name,
        what,
        commands,
        words: &["{}"],
        input: "",
        env: &[],
        reads: false,
    }
}

const PYTHON: Program = Program {
    input: "churn.py",
    // A seed of its own for each process would make runs differ.
    env: &[("PYTHONHASHSEED", "0")],
    ..program(
        "python",
        "Python: JSON, regular expressions, objects (small ones from Python's own pools)",
        &["python3"],
    )
};

/// All of them.
pub(crate) const ALL: &[Program] = &[
    PYTHON,
    Program {
        name: "python-malloc",
        what: "the same with PYTHONMALLOC=malloc: every object from malloc",
        env: &[("PYTHONHASHSEED", "0"), ("PYTHONMALLOC", "malloc")],
        ..PYTHON
    },
    Program {
        input: "churn.js",
        ..program("node", "Node.js: JSON and buffers", &["node", "nodejs"])
    },
    Program {
        words: &[
            "--port",
            "0",
            "--unixsocket",
            "{tmp}/redis.sock",
            "--save",
            "",
            "--appendonly",
            "no",
        ],
        ..program(
            "redis",
            "a Redis server that is fed 300000 commands",
            &["redis-server"],
        )
    },
    Program {
        words: &["-batch", ":memory:"],
        input: "query.sql",
        reads: true,
        ..program(
            "sqlite",
            "SQLite: a table filled, indexed, joined, grouped",
            &["sqlite3"],
        )
    },
    Program {
        words: &["-std=c++17", "-c", "-o", "{tmp}/unit.o", "{}"],
        input: "unit.cpp",
        ..program("g++", "GCC compiles a C++ file without optimization", &["g++"])
    },
    Program {
        input: "churn.lua",
        ..program("lua", "Lua: tables, strings, closures", &["lua5.4", "lua"])
    },
    Program {
        words: &[
            "-q",
            "-dNOPAUSE",
            "-dBATCH",
            "-sDEVICE=ppmraw",
            "-r72",
            "-sOutputFile=/dev/null",
            "{}",
        ],
        input: "page.ps",
        ..program("ghostscript", "Ghostscript renders twenty pages", &["gs"])
    },
    Program {
        input: "puzzle.smt2",
        ..program("z3", "Z3: factors by bit-vectors, eight queens", &["z3"])
    },
    Program {
        input: "churn.rb",
        ..program("ruby", "Ruby: strings, arrays, hashes", &["ruby"])
    },
    Program {
        input: "churn.pl",
        ..program("perl", "Perl: strings, arrays, hashes", &["perl"])
    },
];

impl Program {
    /// What to run; an error names what is not installed.
    pub(crate) fn job(&self, scratch: &Path) -> Result<Job, String> {
        let found = self.commands.iter().find_map(|command| installed(command));
        let path = found.ok_or_else(|| format!("{}: {} is not installed", self.name, self.commands[0]))?;
        let input = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("programs")
            .join(self.input);
        let word = |w: &&str| {
            let w = w.replace("{tmp}", &scratch.display().to_string());
            w.replace("{}", &input.display().to_string()).into()
        };
        let driver = (self.name == "redis")
            .then(|| redis_driver(scratch))
            .transpose()?;
        Ok(Job {
            program: path,
            words: self.words.iter().map(word).collect(),
            env: self
                .env
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            input: self.reads.then_some(input),
            // Debian links its server with jemalloc, and jemalloc's own names stay there; malloc, free and
            // malloc_usable_size go to whoever is preloaded.
            links_an_allocator: self.name == "redis",
            driver,
        })
    }
}

/// The file of a command, by PATH. A shim that starts another file by a script is looked through: what the
/// script does would be measured too.
fn installed(command: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&paths)
        .map(|p| p.join(command))
        .filter(|p| p.is_file());
    found
        .into_iter()
        .find(|p| std::fs::read(p).is_ok_and(|text| text.starts_with(b"\x7fELF")))
}

/// Feeds the server from outside, and ends it.
fn redis_driver(scratch: &Path) -> Result<Driver, String> {
    let client = installed("redis-cli").ok_or("redis: redis-cli is not installed")?;
    let commands = scratch.join("redis.commands");
    std::fs::write(&commands, redis_commands(300_000)).map_err(|e| format!("{}: {e}", commands.display()))?;
    let socket = scratch.join("redis.sock");
    let client = client.display();
    Ok(Driver {
        script: format!(
            "rm -f {socket}.done; n=0\n\
             until [ \"$({client} -s {socket} ping 2>/dev/null)\" = PONG ]; do\n\
             n=$((n + 1)); [ $n -lt 2000 ] || exit 1; sleep 0.01; done\n\
             {client} -s {socket} --pipe < {commands} > /dev/null && {client} -s {socket} dbsize > {socket}.done\n\
             {client} -s {socket} shutdown nosave; rm -f {socket}; cat {socket}.done",
            socket = socket.display(),
            commands = commands.display(),
        ),
    })
}

/// Commands as the protocol writes them, deterministic.
fn redis_commands(count: usize) -> String {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut text = String::new();
    for _ in 0..count {
        let key = format!("key:{}", rng.u32(0..20_000));
        let longest = if rng.u8(..) < 8 { 4000 } else { 120 };
        let value = "v".repeat(rng.usize(1..=longest));
        let field = format!("f{}", rng.u32(0..50));
        let words: Vec<&str> = match rng.u8(0..8) {
            0..=2 => vec!["SET", &key, &value],
            3 => vec!["DEL", &key],
            4 => vec!["GET", &key],
            5 => vec!["HSET", "hash", &key, &value],
            6 => vec!["RPUSH", &field, &value],
            _ => vec!["LPOP", &field],
        };
        let _ = write!(text, "*{}\r\n", words.len());
        for word in words {
            let _ = write!(text, "${}\r\n{word}\r\n", word.len());
        }
    }
    text
}
