//! `neap free`: byte for byte free(1) where asked, and by itself every part of the memory with its residual.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::{assert_reasons_lead_to_nulls, folder, json, missing, neap, skip, stderr};

const KERNELS: [&str; 4] = ["linux-6.18", "linux-6.1", "linux-5.10", "linux-4.4"];

fn recorded(kernel: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../proc/tests/fixtures")
        .join(kernel)
}

fn free(arguments: &[&str], root: &Path) -> Output {
    let mut command = neap();
    command.arg("free").args(arguments).arg("--root").arg(root);
    command.output().unwrap()
}

/// Compares with a file under tests/golden/free; NEAP_BLESS=1 writes it anew.
#[track_caller]
fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/free")
        .join(name);
    if std::env::var_os("NEAP_BLESS").is_some_and(|bless| bless == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, wanted, "{}: NEAP_BLESS=1 writes it anew", path.display());
}

/// The recorded machines have pages of 4 KiB.
fn has_other_pages(test: &str) -> bool {
    let other = rustix::param::page_size() != 4096;
    if other {
        skip(test, "the recorded machines have pages of 4 KiB");
    }
    other
}

#[test]
fn recorded_machines_are_shown_as_they_were() {
    if has_other_pages("recorded_machines_are_shown_as_they_were") {
        return;
    }
    for kernel in KERNELS {
        let text = free(&["--all"], &recorded(kernel));
        assert!(text.status.success(), "{}", stderr(&text));
        assert_golden(&format!("{kernel}.txt"), &String::from_utf8(text.stdout).unwrap());
        let output = free(&["--json"], &recorded(kernel));
        let mut report = json(&output);
        assert_eq!(report["schema"], "neap.free/1");
        assert_reasons_lead_to_nulls(&report);
        report["neap_version"] = Value::Null;
        let pretty = serde_json::to_string_pretty(&report).unwrap() + "\n";
        assert_golden(&format!("{kernel}.json"), &pretty);
    }
}

/// Every null of `value` that has no reason; options of lists are places, not fields.
fn unexplained(value: &Value, path: &str, reasons: &Value, found: &mut Vec<String>) {
    match value {
        Value::Null if reasons.get(path).is_none() => found.push(path.to_owned()),
        Value::Object(fields) => {
            for (name, field) in fields.iter().filter(|(name, _)| *name != "not_available") {
                let below = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                unexplained(field, &below, reasons, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                unexplained(item, &format!("{path}[{index}]"), reasons, found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_null_has_its_reason() {
    let here = json(&neap().args(["free", "--json"]).output().unwrap());
    let recorded = KERNELS.map(|kernel| json(&free(&["--json"], &recorded(kernel))));
    for report in recorded.iter().chain([&here]) {
        let mut found = Vec::new();
        unexplained(report, "", &report["not_available"], &mut found);
        assert_eq!(found, Vec::<String>::new());
    }
}

#[test]
fn the_parts_are_all_of_the_memory() {
    let report = json(&neap().args(["free", "--json"]).output().unwrap());
    let info = fs::read_to_string("/proc/meminfo").unwrap();
    let total = info
        .lines()
        .next()
        .unwrap()
        .split_ascii_whitespace()
        .nth(1)
        .unwrap();
    let balance = &report["balance"];
    assert_eq!(
        balance["total_bytes"].as_u64(),
        Some(total.parse::<u64>().unwrap() << 10)
    );
    let parts = balance["parts"].as_array().unwrap();
    let sum: i64 = parts.iter().map(|part| part["bytes"].as_i64().unwrap()).sum();
    assert_eq!(
        sum + balance["residual_bytes"].as_i64().unwrap(),
        balance["total_bytes"].as_i64().unwrap()
    );
    // No kernel hides as much: an eighth in no line, or counted twice, is a part that is wrong.
    let residual = balance["residual_bytes"].as_i64().unwrap().abs();
    assert!(
        residual < balance["total_bytes"].as_i64().unwrap() / 8,
        "{residual}"
    );
    assert_reasons_lead_to_nulls(&report);
}

#[test]
fn memory_of_a_program_and_of_tmpfs_is_in_its_part() {
    const BYTES: usize = 256 << 20;
    let part = |name: &str| {
        let report = json(&neap().args(["free", "--json"]).output().unwrap());
        let parts = report["balance"]["parts"].as_array().unwrap().clone();
        let found = parts.into_iter().find(|part| part["name"] == name).unwrap();
        found["bytes"].as_i64().unwrap()
    };
    let folder = match tempfile::tempdir_in("/dev/shm") {
        Ok(folder) => folder,
        Err(error) => {
            return skip(
                "memory_of_a_program_and_of_tmpfs_is_in_its_part",
                &format!("/dev/shm: {error}"),
            );
        }
    };
    let before = part("tmpfs, shared");
    fs::write(folder.path().join("file"), vec![1; BYTES]).unwrap();
    let grown = part("tmpfs, shared") - before;
    // Others work on this machine, too: half of it is proof enough.
    assert!(grown > BYTES as i64 / 2, "{grown}");
    let before = part("programs");
    let block = vec![1_u8; BYTES];
    let grown = part("programs") - before;
    assert_eq!(block.len(), BYTES);
    assert!(grown > BYTES as i64 / 2, "{grown}");
}

/// Options that free(1) has, too.
const TABLES: [&[&str]; 26] = [
    &["-k"],
    &["-b"],
    &["-m"],
    &["-g"],
    &["-h"],
    &["--tebi"],
    &["--pebi"],
    &["--kilo"],
    &["--mega"],
    &["--giga"],
    &["--tera"],
    &["--peta"],
    &["--si"],
    &["-h", "--si"],
    &["-k", "--si"],
    &["-m", "--si"],
    &["-b", "--si"],
    &["-w"],
    &["-l"],
    &["-t"],
    &["-v"],
    &["-wltv"],
    &["-w", "-l", "-t", "-v", "-h"],
    &["--wide", "--lohi", "--total", "--committed", "--mebi"],
    &["-k", "-c", "2", "-s", "0.01"],
    &["-h", "--count", "3", "--seconds", "0.01"],
];

/// Numbers in KiB that are at the edges of units, and some that are not: the same at each run.
fn machines() -> Vec<String> {
    let mut texts: Vec<String> = KERNELS
        .iter()
        .map(|kernel| fs::read_to_string(recorded(kernel).join("proc/meminfo")).unwrap())
        .collect();
    let edges: [u64; 16] = [
        0,
        1,
        9,
        10,
        99,
        975,
        976,
        999,
        1000,
        1023,
        1024,
        10_188,
        10_189,
        1_048_575,
        104_857_600,
        9_999_999_999,
    ];
    let mut state = 1_u64;
    let mut next = move || {
        // Knuth's MMIX generator: the same numbers everywhere.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for _ in 0..40 {
        let mut number = || match next() % 3 {
            0 => edges[usize::try_from(next() % 16).unwrap()],
            1 => next() % 100_000,
            _ => next() % (1 << (next() % 31)).max(1),
        };
        let mut text = String::new();
        for key in [
            "MemTotal",
            "MemFree",
            "MemAvailable",
            "Buffers",
            "Cached",
            "SReclaimable",
            "Shmem",
            "SwapTotal",
            "SwapFree",
            "CommitLimit",
            "Committed_AS",
        ] {
            text += &format!("{key}: {} kB\n", number());
        }
        texts.push(text);
    }
    // Before Linux 3.14.
    texts.push("MemTotal: 1000 kB\nMemFree: 200 kB\nBuffers: 10 kB\nCached: 20 kB\n".to_owned());
    texts
}

#[test]
fn the_tables_are_those_of_free() {
    let test = "the_tables_are_those_of_free";
    if Command::new("free").arg("--version").output().is_err() {
        return missing(test, "free is not installed");
    }
    let folder = folder();
    // One private mount namespace for all: a shell that mounts each machine's meminfo over /proc's.
    let script = r#"for machine in "$1"/*; do
        mount --bind "$machine/proc/meminfo" /proc/meminfo || exit 77
        while IFS= read -r options; do
            echo "== $machine $options"; free $options 2>&1; done <"$0"
        umount /proc/meminfo || exit 77
    done"#;
    let machines = machines();
    for (index, text) in machines.iter().enumerate() {
        let path = folder.path().join(format!("machines/{index:03}/proc"));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("meminfo"), text).unwrap();
    }
    let options: String = TABLES.iter().map(|options| options.join(" ") + "\n").collect();
    let list = folder.path().join("options");
    fs::write(&list, options).unwrap();
    let real = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(&list)
        .arg(folder.path().join("machines"))
        .env("LC_ALL", "C.UTF-8")
        .stderr(Stdio::piped())
        .output();
    let Ok(real) = real.as_ref().map(|real| String::from_utf8_lossy(&real.stdout)) else {
        return missing(test, "unshare is not installed");
    };
    if !real.contains("== ") {
        return skip(test, "no mount over /proc/meminfo may be made here (needs root)");
    }
    let mut own = String::new();
    for index in 0..machines.len() {
        let root = folder.path().join(format!("machines/{index:03}"));
        for options in TABLES {
            own += &format!("== {} {}\n", root.display(), options.join(" "));
            own += &String::from_utf8(free(options, &root).stdout).unwrap();
        }
    }
    for (own, real) in own.split("== ").zip(real.split("== ")) {
        assert_eq!(own, real);
    }
    assert_eq!(own.len(), real.len());
}

#[test]
fn repetitions_are_separated_as_there_and_end() {
    let table = free(&["-k"], &recorded("linux-4.4")).stdout;
    let twice = free(&["-k", "-c", "2", "-s", "0.01"], &recorded("linux-4.4")).stdout;
    assert_eq!(twice, [&table[..], b"\n", &table[..]].concat());
    let own = free(&[], &recorded("linux-4.4")).stdout;
    let watched = free(&["--watch", "0.01", "-c", "2"], &recorded("linux-4.4")).stdout;
    assert_eq!(watched, [&own[..], b"\n", &own[..]].concat());
}

#[test]
fn a_reader_who_goes_ends_it() {
    let mut child = neap()
        .args(["free", "-k", "-s", "0.01"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_is_wrong_is_said() {
    let folder = folder();
    let none = free(&[], folder.path());
    assert_eq!(none.status.code(), Some(125));
    assert!(
        stderr(&none).contains("/proc/meminfo: not in this kernel"),
        "{none:?}"
    );
    for arguments in [
        &["-k", "-m"][..],
        &["-k", "--json"],
        &["-h", "--psi"],
        &["-s", "0"],
        &["-s", "x"],
        &["-c", "0"],
        &["extra"],
    ] {
        let output = neap().arg("free").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn an_empty_meminfo_is_not_zero() {
    let folder = folder();
    fs::create_dir(folder.path().join("proc")).unwrap();
    fs::write(folder.path().join("proc/meminfo"), "").unwrap();
    let text = String::from_utf8(free(&[], folder.path()).stdout).unwrap();
    assert!(text.contains("n/a") && !text.contains("0 B"), "{text}");
    assert!(text.contains("n/a (not in this kernel)"), "{text}");
}

#[test]
fn this_process_meets_the_limit_of_a_group_above_its_own_first() {
    let folder = folder();
    for (path, text) in [
        (
            "proc/meminfo",
            "MemTotal: 8000000 kB\nMemFree: 4000000 kB\nMemAvailable: 6000000 kB\n",
        ),
        ("proc/self/cgroup", "0::/outer/inner\n"),
        ("sys/fs/cgroup/outer/inner/memory.current", "1048576\n"),
        ("sys/fs/cgroup/outer/inner/memory.max", "1073741824\n"),
        ("sys/fs/cgroup/outer/memory.current", "66060288\n"),
        ("sys/fs/cgroup/outer/memory.max", "67108864\n"),
        ("sys/fs/cgroup/outer/memory.events", "oom_kill 3\n"),
    ] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let report = json(&free(&["--json"], folder.path()));
    assert_eq!(report["cgroup"]["tightest"], 1);
    assert_eq!(report["cgroup"]["levels"][1]["room_bytes"], 1 << 20);
    let text = String::from_utf8(free(&["--cgroup"], folder.path()).stdout).unwrap();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("control group /outer first: 1.00 MiB of 64.0 MiB are left"),
        "{text}"
    );
    assert!(words.contains("it has killed 3 of its processes"), "{text}");
}

/// A new memory group of at most 64 MiB below the one this process is in.
struct Group(PathBuf);

impl Group {
    fn new() -> Result<Group, String> {
        let text = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let own = |line: &str| line.rsplit(':').next().unwrap_or("").to_owned();
        let is_first = |line: &&str| {
            line.split(':')
                .nth(1)
                .is_some_and(|names| names.contains("memory"))
        };
        let (parent, limit) = match text.lines().find(is_first) {
            Some(line) => (
                format!("/sys/fs/cgroup/memory{}", own(line)),
                "memory.limit_in_bytes",
            ),
            None => {
                let line = text.lines().find(|line| line.starts_with("0::"));
                (format!("/sys/fs/cgroup{}", own(line.unwrap_or(""))), "memory.max")
            }
        };
        let path = Path::new(&parent).join(format!("neap-test-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let group = Group(path);
        fs::write(group.0.join(limit), "67108864").map_err(|error| format!("{limit}: {error}"))?;
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn the_limit_of_a_real_group_is_the_tightest() {
    let test = "the_limit_of_a_real_group_is_the_tightest";
    let group = match Group::new() {
        Ok(group) => group,
        Err(why) => return skip(test, &format!("no memory group can be made here: {why}")),
    };
    let script = "echo $$ > \"$0/cgroup.procs\" && exec \"$1\" free --json";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(&group.0)
        .arg(env!("CARGO_BIN_EXE_neap"))
        .output()
        .unwrap();
    if output.stdout.is_empty() && stderr(&output).contains("cgroup.procs") {
        return skip(test, "no process may be moved into a group here");
    }
    let report = json(&output);
    assert_reasons_lead_to_nulls(&report);
    let level = &report["cgroup"]["levels"][0];
    assert_eq!(
        (&level["limit_bytes"], &report["cgroup"]["tightest"]),
        (&(64 << 20).into(), &0.into())
    );
    let room = level["room_bytes"].as_u64().unwrap();
    assert_eq!(room, (64 << 20) - level["used_bytes"].as_u64().unwrap());
    let verdict = report["verdict"].to_string();
    assert!(verdict.contains("of 64.0 MiB are left"), "{verdict}");
}
