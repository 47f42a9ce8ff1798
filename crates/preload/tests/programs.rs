//! Real programs, run to the end with libneap.so preloaded on both backends: they print what they
//! print without it. A program that is not installed is skipped by name.

mod harness;

use harness::same::{LIMIT, Public, output, same_output, script};
use harness::{Outcome, Stop, missing, plain, program, run, scratch, tests};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A text with every number gone: for output that tells times and sizes.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for c in text
        .chars()
        .filter(|c| !c.is_ascii_digit() && !".,:".contains(*c))
    {
        if !(c == ' ' && out.ends_with(' ')) {
            out.push(c);
        }
    }
    out
}

/// A python that has its own test suite: the system's, or what the one in PATH really is (it may be the
/// shim of a version manager).
fn python() -> Outcome<PathBuf> {
    let probe =
        "import sys, test.test_dict, test.test_threading, test.test_subprocess; print(sys.executable)";
    for candidate in [PathBuf::from("/usr/bin/python3"), program("python3")?] {
        if candidate.is_file()
            && let Ok(path) = output(plain(&candidate).args(["-c", probe]))
        {
            return Ok(PathBuf::from(path.trim()));
        }
    }
    missing("python3's own test suite (libpython3-testsuite)")
}

/// `test_name (module.Class.test_name) ... ok` without what the test itself printed in between.
fn verdict(line: &str) -> Option<String> {
    let (name, told) = line.split_once(" ... ")?;
    let word = ["ok", "FAIL", "ERROR", "skipped"]
        .into_iter()
        .find(|word| told.starts_with(word));
    name.starts_with("test_")
        .then(|| format!("{name} {}", word.unwrap_or_default()))
}

/// A module of python's own suite: the same verdict as without the library, test for test.
fn python_suite(module: &str) {
    same_output(|command| {
        let folder = scratch("python");
        let mut suite = command(&python()?);
        suite
            .args(["-m", "test", "-v", module])
            .env("TMPDIR", &folder)
            .current_dir(&folder);
        let told = run(&mut suite, LIMIT)?;
        let mut verdicts: Vec<String> = told.stdout.lines().filter_map(verdict).collect();
        // Threads of the suite may finish in another order.
        verdicts.sort_unstable();
        if verdicts.is_empty() {
            return Err(Stop::Fail(told.describe("python's suite ran no test")));
        }
        Ok(format!("{}\n{}", told.status, verdicts.join("\n")))
    });
}

#[test]
fn python_test_dict() {
    python_suite("test_dict");
}

#[test]
fn python_test_list() {
    python_suite("test_list");
}

#[test]
fn python_test_json() {
    python_suite("test_json");
}

#[test]
fn python_test_threading() {
    python_suite("test_threading");
}

#[test]
fn python_test_subprocess() {
    python_suite("test_subprocess");
}

#[test]
fn python_test_mmap() {
    python_suite("test_mmap");
}

fn burst(pythons_own_pools: Option<&str>) {
    same_output(|command| {
        let mut burst = command(&python()?);
        burst.arg(tests().join("../../../examples/burst.py"));
        if let Some(allocator) = pythons_own_pools {
            burst.env("PYTHONMALLOC", allocator);
        }
        Ok(without_numbers(&output(&mut burst)?))
    });
}

#[test]
fn python_burst() {
    burst(None);
}

/// Every object a block of malloc's, instead of python's pools.
#[test]
fn python_burst_with_every_object_from_malloc() {
    burst(Some("malloc"));
}

#[test]
fn gxx_compiles_a_real_file() {
    same_output(|command| {
        let assembly = scratch("gxx").join("words.s");
        let mut compiler = command(&program("g++")?);
        compiler
            .args(["-std=c++17", "-O2", "-S", "-o"])
            .arg(&assembly)
            .arg(script("words.cpp"));
        output(&mut compiler)?;
        fs::read_to_string(&assembly).map_err(|e| Stop::Fail(e.to_string()))
    });
}

#[test]
fn sqlite_indexes_200_000_rows() {
    same_output(|command| {
        let database = scratch("sqlite").join("rows.db");
        let mut sqlite = command(&program("sqlite3")?);
        sqlite
            .args(["-batch", "-bail", "-cmd"])
            .arg(format!(".read {}", script("rows.sql").display()));
        output(sqlite.arg(&database).arg("SELECT count(*) FROM rows;"))
    });
}

#[test]
fn node_handles_json_and_buffers() {
    same_output(|command| output(command(&program("node")?).arg(script("buffers.js"))));
}

#[test]
fn ruby_forks_threads_and_collects() {
    same_output(|command| output(command(&program("ruby")?).arg(script("rows.rb"))));
}

#[test]
fn lua_joins_strings() {
    same_output(|command| output(command(&program("lua5.4")?).arg(script("strings.lua"))));
}

#[test]
fn ghostscript_draws_lines() {
    same_output(|command| {
        let picture = scratch("gs").join("lines.pgm");
        let mut gs = command(&program("gs")?);
        gs.args([
            "-q",
            "-dBATCH",
            "-dNOPAUSE",
            "-dSAFER",
            "-sDEVICE=pgmraw",
            "-r150",
        ])
        .arg(format!("-sOutputFile={}", picture.display()))
        .arg(script("lines.ps"));
        let told = output(&mut gs)?;
        let pixels = fs::read(&picture).map_err(|e| Stop::Fail(e.to_string()))?;
        // A checksum is enough to tell two pictures apart.
        let sum = pixels.iter().fold(0u64, |sum, byte| {
            sum.wrapping_mul(0x100_0000_01b3) ^ u64::from(*byte)
        });
        Ok(format!("{told}{} bytes, {sum:x}", pixels.len()))
    });
}

/// A cluster is made and a table worked on in single-user mode. postgres refuses to run as root.
#[test]
fn postgres_makes_a_cluster_and_joins() {
    same_output(|command| {
        let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path().join("bin"))
            .collect();
        folders.sort();
        let Some(bin) = folders.pop().filter(|bin| bin.join("initdb").is_file()) else {
            return missing("postgresql");
        };
        let public = Public::new("postgres")?;
        let data = public.folder.join("data");
        let mut initdb = command(&bin.join("initdb"));
        initdb
            .args(["--no-sync", "--no-locale", "-E", "UTF8", "-D"])
            .arg(&data);
        output(&mut public.as_nobody(&initdb)?)?;
        let mut single = command(&program("sh")?);
        single
            .args(["-c", "exec \"$0\" --single -j -F -D \"$1\" postgres <\"$2\""])
            .arg(bin.join("postgres"))
            .arg(&data);
        let statements = public.folder.join("tables.sql");
        let text = fs::read_to_string(script("tables.sql")).map_err(|e| Stop::Fail(e.to_string()))?;
        // With -j a statement ends at a semicolon and an empty line.
        fs::write(&statements, text.replace(";\n", ";\n\n")).map_err(|e| Stop::Fail(e.to_string()))?;
        let told = output(&mut public.as_nobody(single.arg(&statements))?)?;
        if told.contains("count = \"30000\"") {
            Ok(told)
        } else {
            Err(Stop::Fail(format!("postgres does not count its rows: {told}")))
        }
    });
}

#[test]
fn perl_counts_words() {
    same_output(|command| {
        output(
            command(&program("perl")?)
                .env("PERL_HASH_SEED", "0")
                .arg(script("words.pl")),
        )
    });
}

#[test]
fn git_log_and_gc() {
    same_output(|command| {
        let git = program("git")?;
        let folder = scratch("git");
        let commands = move |arguments: &[&str]| {
            let mut git = command(&git);
            let who = [
                "-c",
                "user.name=n",
                "-c",
                "user.email=n@n",
                "-c",
                "commit.gpgsign=false",
                "-c",
                "gc.auto=0",
            ];
            git.args(who)
                .args(arguments)
                .current_dir(&folder)
                .env("HOME", &folder);
            git.env("GIT_CONFIG_NOSYSTEM", "1")
                .env("GIT_AUTHOR_DATE", "1700000000 +0000");
            git.env("GIT_COMMITTER_DATE", "1700000000 +0000");
            output(&mut git).map(|text| (text, folder.clone()))
        };
        commands(&["init", "-q", "-b", "main"])?;
        for number in 0..40 {
            let (_, folder) = commands(&["rev-parse", "--git-dir"])?;
            for file in 0..30 {
                let lines: String = (0..200)
                    .map(|l| format!("{} {}\n", l * file, if l % 40 == number { number } else { 0 }))
                    .collect();
                fs::write(folder.join(format!("file{file}")), lines)
                    .map_err(|e| Stop::Fail(e.to_string()))?;
            }
            commands(&["add", "."])?;
            commands(&["commit", "-q", "-m", &format!("change {number}")])?;
        }
        let before = commands(&["log", "--stat", "-p", "--no-color"])?.0;
        commands(&["gc", "-q", "--aggressive", "--prune=now"])?;
        let after = commands(&["log", "--stat", "-p", "--no-color"])?.0;
        commands(&["fsck", "--full", "--strict"])?;
        let blame = commands(&["blame", "-s", "file7"])?.0;
        if before == after {
            Ok(before + &blame)
        } else {
            Err(Stop::Fail("git log differs after git gc".to_owned()))
        }
    });
}

#[test]
fn redis_serves_a_benchmark() {
    same_output(|command| {
        let (server, client, benchmark) = (
            program("redis-server")?,
            program("redis-cli")?,
            program("redis-benchmark")?,
        );
        let folder = scratch("redis");
        // A path for a socket has at most 107 bytes, and a target directory may lie deep.
        let socket = std::env::temp_dir().join(format!("neap-redis-{}", std::process::id()));
        let configuration = [
            "--port",
            "0",
            "--save",
            "",
            "--daemonize",
            "no",
            "--loglevel",
            "warning",
        ];
        let mut started = command(&server);
        started
            .args(configuration)
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--dir")
            .arg(&folder);
        let log = fs::File::create(folder.join("log")).map_err(|e| Stop::Fail(e.to_string()))?;
        let mut server = started
            .stdout(log)
            .spawn()
            .map_err(|e| Stop::Fail(e.to_string()))?;
        let told = talk_to_redis(command, &client, &benchmark, &socket);
        if told.is_err() {
            let _ = server.kill();
        }
        let status = server.wait().map_err(|e| Stop::Fail(e.to_string()))?;
        let _ = fs::remove_file(&socket);
        match told {
            Ok(told) if status.success() => Ok(told),
            Ok(_) => Err(Stop::Fail(format!("redis-server: {status}"))),
            Err(stop) => Err(stop),
        }
    });
}

fn talk_to_redis(
    command: &dyn Fn(&Path) -> Command,
    client: &Path,
    benchmark: &Path,
    socket: &Path,
) -> Outcome<String> {
    let ask = |words: &[&str]| output(command(client).arg("-s").arg(socket).args(words));
    let patience = std::time::Instant::now() + Duration::from_secs(20);
    while ask(&["ping"]).is_err() {
        if std::time::Instant::now() > patience {
            return Err(Stop::Fail("redis-server does not answer".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut load = command(benchmark);
    load.arg("-s")
        .arg(socket)
        .args(["-q", "-n", "20000", "-c", "20", "-r", "5000", "-d", "200"]);
    output(load.args(["-t", "set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100,mset"]))?;
    let mut told = ask(&["flushall"])?;
    let fill = "for i = 1, 60000 do redis.call('set', 'k' .. i, string.rep('x', i % 700)); \
                redis.call('hset', 'h' .. i % 100, i, i * 3) end return redis.call('dbsize')";
    told += &ask(&["eval", fill, "0"])?;
    // Saving forks a server whose memory the child walks.
    told += &ask(&["save"])?;
    ask(&["bgsave"])?;
    told += &ask(&[
        "eval",
        "for i = 1, 60000, 2 do redis.call('del', 'k' .. i) end return redis.call('dbsize')",
        "0",
    ])?;
    told += &ask(&["strlen", "k50000"])?;
    told += &ask(&["hget", "h42", "42"])?;
    ask(&["shutdown", "nosave", "now", "force"])?;
    Ok(told)
}

#[test]
fn a_rust_program_with_64_threads() {
    same_output(|command| {
        let built = scratch("rust").join("threads64");
        let mut rustc = plain(&program("rustc")?);
        output(
            rustc
                .args(["--edition=2021", "-O", "-o"])
                .arg(&built)
                .arg(tests().join("rust/threads64.rs")),
        )?;
        output(&mut command(&built))
    });
}

/// rustc brings an allocator of its own along and is hard on one that is preloaded.
#[test]
fn cargo_builds_a_small_crate() {
    same_output(|command| {
        let from = tests().join("rust/small");
        let folder = scratch("cargo");
        fs::create_dir_all(folder.join("src")).map_err(|e| Stop::Fail(e.to_string()))?;
        for file in ["Cargo.toml", "src/lib.rs", "src/main.rs"] {
            fs::copy(from.join(file), folder.join(file)).map_err(|e| Stop::Fail(format!("{file}: {e}")))?;
        }
        for profile in [&[][..], &["--release"][..]] {
            let mut cargo = command(&program("cargo")?);
            cargo
                .args(["build", "--offline", "--quiet"])
                .args(profile)
                .current_dir(&folder);
            output(cargo.env("CARGO_TARGET_DIR", folder.join("target")))?;
        }
        let debug = output(&mut command(&folder.join("target/debug/small")))?;
        let release = output(&mut command(&folder.join("target/release/small")))?;
        Ok(debug + &release)
    });
}
