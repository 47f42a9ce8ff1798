//! `neap maps`: byte for byte pmap -x where asked, and by itself rows that add up to the kernel's figures.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::strange::{Stopped, state};
use crate::support::{assert_reasons_lead_to_nulls, folder, json, missing, neap, skip, stderr, wait_until};

pub(crate) fn maps(arguments: &[&str]) -> Output {
    neap().arg("maps").args(arguments).output().unwrap()
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Compares with a file under tests/golden/maps; NEAP_BLESS=1 writes it anew.
#[track_caller]
pub(crate) fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/maps")
        .join(name);
    if std::env::var_os("NEAP_BLESS").is_some_and(|bless| bless == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, wanted, "{}: NEAP_BLESS=1 writes it anew", path.display());
}

/// Process 4711 of the recorded kernel, a Python, as a snapshot; with the program break longer by `more` pages.
pub(crate) fn recorded(folder: &Path, name: &str, taken: &str, more: u64) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proc/tests/fixtures/linux-6.18/proc/4711");
    let read = |file: &str| fs::read_to_string(fixtures.join(file)).unwrap();
    let (mut smaps, status) = (read("smaps"), read("status"));
    if more > 0 {
        let heap = smaps
            .lines()
            .find(|line| line.ends_with("[heap]"))
            .unwrap()
            .to_owned();
        let end = u64::from_str_radix(&heap[13..25], 16).unwrap();
        let longer = heap.replacen(&heap[13..25], &format!("{:x}", end + more * 4096), 1);
        let (before, after) = smaps.split_once(&heap).unwrap();
        let rss = after.lines().find(|line| line.starts_with("Rss:")).unwrap();
        let kilobytes: u64 = rss.split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
        let more_rss = format!("Rss:            {:8} kB", kilobytes + more * 4);
        smaps = format!("{before}{longer}{}", after.replacen(rss, &more_rss, 1));
    }
    let section = |name: &str, text: &str| format!("== {name} {} lines\n{text}", text.lines().count());
    let head = format!(
        "neap snapshot 1\ntaken \"{taken}\"\npid 4711\nname \"python3\"\ncommand [\"python3\",\"burst.py\"]\nkernel \"Linux \
         6.18.0\"\npage_bytes 4096\nstarted_ticks 77\nstack_start 140733523757808\nheap_not_available \"not \
         recorded\"\n"
    );
    let path = folder.join(name);
    let file = format!(
        "{head}{}{}== end\n",
        section("status", &status),
        section("smaps", &smaps)
    );
    fs::write(&path, file).unwrap();
    path
}

/// In the folder of the snapshot, so that its path is not in what is printed.
pub(crate) fn neap_in(folder: &Path, arguments: &[&str]) -> Output {
    neap().args(arguments).current_dir(folder).output().unwrap()
}

fn without_version(output: &Output) -> String {
    let mut report = json(output);
    assert_reasons_lead_to_nulls(&report);
    report["neap_version"] = Value::Null;
    serde_json::to_string_pretty(&report).unwrap() + "\n"
}

#[test]
fn a_recorded_process_is_shown_as_it_was() {
    let folder = folder();
    recorded(folder.path(), "a.snap", "2026-03-01T12:00:00.000Z", 0);
    let show = |arguments: &[&str]| {
        let output = neap_in(
            folder.path(),
            &[&["maps", "--from", "a.snap"], arguments].concat(),
        );
        assert!(output.status.success(), "{}", stderr(&output));
        output
    };
    assert_golden("grouped.txt", &text(&show(&[])));
    assert_golden(
        "filtered.txt",
        &text(&show(&[
            "--kind",
            "library,heap",
            "--min",
            "200K",
            "--sort",
            "pss",
        ])),
    );
    assert_golden(
        "each.txt",
        &text(&show(&["--all", "--kind", "program,heap,stack,shared,kernel"])),
    );
    assert_golden("grouped.json", &without_version(&show(&["--json"])));
    let fixture = "../proc/tests/fixtures/linux-6.18/proc/4711/pmap-x.txt";
    let wanted = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture)).unwrap();
    let table = |text: &str| text.split_once('\n').unwrap().1.to_owned();
    assert_eq!(table(&text(&show(&["-x"]))), table(&wanted));
}

/// What `pmap -x` prints; `None` skips the test that called.
fn pmap(test: &str, pids: &[u32], locale: &str) -> Option<Output> {
    let version = Command::new("pmap").arg("--version").output();
    let Some(version) = version.ok().map(|output| text(&output)) else {
        missing(test, "pmap is not installed");
        return None;
    };
    if !version.contains("4.0.2") {
        skip(
            test,
            &format!("this is {}, and what is promised is 4.0.2", version.trim()),
        );
        return None;
    }
    let mut command = Command::new("pmap");
    command
        .arg("-x")
        .args(pids.iter().map(u32::to_string))
        .env("LC_ALL", locale);
    Some(command.output().unwrap())
}

#[track_caller]
fn assert_is_pmap(test: &str, pids: &[u32]) {
    for locale in ["C", "C.UTF-8"] {
        let Some(wanted) = pmap(test, pids, locale) else {
            return;
        };
        let mut command = neap();
        command
            .args(["maps", "-x"])
            .args(pids.iter().map(u32::to_string))
            .env("LC_ALL", locale);
        let output = command.output().unwrap();
        let lossy = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(lossy(&output), lossy(&wanted), "{locale}");
        assert_eq!(output.stdout, wanted.stdout, "{locale}");
    }
}

#[test]
fn a_strange_process_is_printed_as_pmap_prints_it() {
    const TEST: &str = "a_strange_process_is_printed_as_pmap_prints_it";
    let Some(strange) = Stopped::strange(TEST, 0) else {
        return;
    };
    let shell = Stopped::command(Command::new("sh").args(["-c", "echo ready; read x; sleep 60"]));
    assert_is_pmap(TEST, &[strange.pid()]);
    assert_is_pmap(TEST, &[shell.pid(), strange.pid(), shell.pid()]);
}

#[test]
fn sixty_thousand_mappings_are_printed_as_pmap_prints_them() {
    const TEST: &str = "sixty_thousand_mappings_are_printed_as_pmap_prints_them";
    let limit = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    if limit.trim().parse().unwrap_or(0) < 61_000 {
        return skip(TEST, "vm.max_map_count is below 61000");
    }
    let Some(strange) = Stopped::strange(TEST, 60_000) else {
        return;
    };
    assert_is_pmap(TEST, &[strange.pid()]);
    let report = json(&maps(&["--json", &strange.pid().to_string()]));
    assert!(report["processes"][0]["total"]["mappings"].as_u64().unwrap() > 60_000);
}

#[test]
fn python_and_who_has_no_memory_are_printed_as_pmap_prints_them() {
    const TEST: &str = "python_and_who_has_no_memory_are_printed_as_pmap_prints_them";
    let program = "import json, time; print(1, flush=True); time.sleep(60)";
    match Command::new("python3").arg("--version").output() {
        Ok(_) => {
            let python = Stopped::command(Command::new("python3").args(["-c", program]));
            assert_is_pmap(TEST, &[python.pid()]);
        }
        Err(_) => missing(TEST, "python3 is not installed"),
    }
    let mut zombie = Command::new("true").spawn().unwrap();
    wait_until("a zombie", || state(zombie.id()) == Some('Z'));
    assert_is_pmap(TEST, &[zombie.id()]);
    let output = maps(&["-x", &zombie.id().to_string()]);
    assert_eq!(output.status.code(), Some(125));
    assert!(stderr(&output).contains("is a zombie"), "{}", stderr(&output));
    zombie.wait().unwrap();
}

#[test]
fn rows_add_up_to_the_kernels_figures() {
    const TEST: &str = "rows_add_up_to_the_kernels_figures";
    let Some(strange) = Stopped::strange(TEST, 100) else {
        return;
    };
    let report = json(&maps(&["--json", "--all", &strange.pid().to_string()]));
    assert_eq!(report["schema"], "neap.maps/1");
    assert_reasons_lead_to_nulls(&report);
    let process = &report["processes"][0];
    assert_eq!(
        (
            &process["residual"]["rss_bytes"],
            &process["residual"]["swap_bytes"]
        ),
        (&0.into(), &0.into())
    );
    let page = i64::try_from(rustix::param::page_size()).unwrap();
    let vsyscall = process["residual"]["size_bytes"].as_i64().unwrap();
    assert!(vsyscall == 0 || vsyscall == page, "{vsyscall}");
    let sum = |rows: &Value, field: &str| -> u64 {
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| row[field].as_u64().unwrap())
            .sum()
    };
    for field in [
        "mappings",
        "size_bytes",
        "rss_bytes",
        "pss_bytes",
        "private_dirty_bytes",
        "swap_bytes",
        "huge_bytes",
    ] {
        let total = process["total"][field].as_u64().unwrap();
        assert_eq!(sum(&process["kinds"], field), total, "{field}");
        assert_eq!(sum(&process["mappings"], field), total, "{field}");
        for kind in process["kinds"].as_array().unwrap() {
            assert_eq!(
                sum(&kind["names"], field),
                kind[field].as_u64().unwrap(),
                "{} {field}",
                kind["kind"]
            );
        }
    }
    let kind = |word: &str| {
        let kinds = process["kinds"].as_array().unwrap();
        kinds
            .iter()
            .find(|kind| kind["kind"] == word)
            .unwrap_or_else(|| panic!("no {word}"))
    };
    let has = |word: &str, name: &str| {
        kind(word)["names"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["name"] == name)
    };
    assert!(has("anonymous", "[anonymous, no access]") && has("anonymous", "/dev/zero"));
    assert!(has("shared", "/memfd:a b/c") && has("shared", "/SYSV00000000") && has("shared", "/dev/zero"));
    let gone = kind("file")["names"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["deleted"] == true)
        .count();
    assert_eq!(gone, 2);
}

#[test]
fn no_name_reaches_the_terminal_as_it_is() {
    let Some(strange) = Stopped::strange("no_name_reaches_the_terminal_as_it_is", 0) else {
        return;
    };
    let pid = strange.pid().to_string();
    for arguments in [&["--min", "1"][..], &["--all"], &["-x"]] {
        let output = maps(&[arguments, &[pid.as_str()]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(
            text(&output).chars().all(|c| c == '\n' || !c.is_control()),
            "{arguments:?}"
        );
    }
}

#[test]
fn who_cannot_be_read_is_told_why_and_the_others_are_shown() {
    let me = std::process::id().to_string();
    let output = maps(&["4194304", &me]);
    assert_eq!(output.status.code(), Some(125));
    assert!(
        stderr(&output).contains("process 4194304: there is no such process"),
        "{}",
        stderr(&output)
    );
    assert!(text(&output).contains(&format!("neap maps {me}")));
    let report = json(&maps(&["--json", "4194304", &me]));
    assert_eq!(report["not_read"][0]["pid"], 4_194_304);
    assert_eq!(report["processes"][0]["pid"].to_string(), me);
    let output = maps(&["2"]);
    let kernel_thread = fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd");
    if kernel_thread {
        assert_eq!(output.status.code(), Some(125));
        let said = stderr(&output);
        assert!(
            said.contains("is a kernel thread") || said.contains("permission denied"),
            "{said}"
        );
    }
    for wrong in [
        &["self"][..],
        &["0"],
        &["x"],
        &[],
        &["--kind", "tree", "1"],
        &["-x", "--json", "1"],
    ] {
        assert_eq!(maps(wrong).status.code(), Some(2), "{wrong:?}");
    }
    assert!(stderr(&maps(&["self"])).contains("$$"));
}

#[test]
fn without_privilege_ones_own_processes_are_read_and_no_others() {
    const TEST: &str = "without_privilege_ones_own_processes_are_read_and_no_others";
    if !rustix::process::geteuid().is_root() {
        let output = maps(&[&std::process::id().to_string()]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        return;
    }
    if Command::new("setpriv").arg("--version").output().is_err() {
        return missing(TEST, "setpriv is not installed");
    }
    let folder = folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("neap");
    fs::copy(env!("CARGO_BIN_EXE_neap"), &program).unwrap();
    let nobody = |script: &str| {
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--bounding-set=-all",
            "sh",
            "-c",
            script,
        ]);
        command
            .arg(&program)
            .current_dir("/")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap()
    };
    let output =
        nobody("\"$0\" maps --json $$ && \"$0\" snap $$ --pages >/dev/null && \"$0\" diff $$ $$ >/dev/null");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(json(&output)["processes"][0]["residual"]["swap_bytes"], 0);
    let output = nobody("\"$0\" maps 1");
    assert_eq!(output.status.code(), Some(125));
    assert!(
        stderr(&output).contains("permission denied; run neap as its user or as root"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_pages_of_a_process_are_drawn_with_letters_and_as_a_file() {
    const TEST: &str = "the_pages_of_a_process_are_drawn_with_letters_and_as_a_file";
    let Some(strange) = Stopped::strange(TEST, 0) else {
        return;
    };
    let (folder, pid) = (folder(), strange.pid().to_string());
    // Who looks for a heap reads the start of what may be a library: a private map of /dev/zero gets a zero page.
    assert_eq!(maps(&[&pid]).status.code(), Some(0));
    let output = neap_in(folder.path(), &["maps", &pid, "--picture", "--svg", "a.svg"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = text(&output);
    for part in [
        "of free addresses",
        "[stack]",
        "in memory, of no file",
        "mapped, not there",
        "the zero page",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.lines().count() < 60 && said.chars().all(|c| c == '\n' || !c.is_control()));
    let svg = fs::read_to_string(folder.path().join("a.svg")).unwrap();
    assert!(
        svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n") && svg.contains("prefers-color-scheme")
    );
    assert!(!svg.contains("href") && !svg.contains("<script") && !svg.contains('\u{1b}'));
    let kept = neap_in(folder.path(), &["snap", &pid, "--pages", "-o", "a.snap"]);
    assert_eq!(kept.status.code(), Some(0), "{}", stderr(&kept));
    let again = text(&neap_in(
        folder.path(),
        &["maps", "--from", "a.snap", "--picture"],
    ));
    let cells = |text: &str| text.split_once('\n').unwrap().1.to_owned();
    assert_eq!(cells(&again), cells(&said));
    recorded(folder.path(), "b.snap", "2026-03-01T12:00:00.000Z", 0);
    let without = neap_in(folder.path(), &["maps", "--from", "b.snap", "--picture"]);
    assert_eq!(without.status.code(), Some(125));
    assert!(
        stderr(&without).contains("neap snap --pages"),
        "{}",
        stderr(&without)
    );
    assert_eq!(maps(&["--svg", "x.svg", &pid, &pid]).status.code(), Some(2));
}

#[test]
fn the_heap_of_libneap_is_named_and_its_figures_are_the_programs() {
    const TEST: &str = "the_heap_of_libneap_is_named_and_its_figures_are_the_programs";
    const PROGRAM: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    for (int i = 0; i < 1000; i++) memset(malloc(10000), 1, 10000);
    memset(malloc(40 << 20), 1, 40 << 20);
    puts("ready");
    fflush(stdout);
    sleep(60);
    return 0;
}
"#;
    let Some(library) = crate::support::library(TEST) else {
        return;
    };
    let folder = folder();
    let Some(program) = crate::support::compile(TEST, &folder, "heap", PROGRAM, &["-O0"]) else {
        return;
    };
    let child = Stopped::command(Command::new(program).env("LD_PRELOAD", library));
    let report = json(&maps(&["--json", &child.pid().to_string()]));
    assert_reasons_lead_to_nulls(&report);
    let process = &report["processes"][0];
    let heap = &process["heap"];
    if heap.is_null() {
        return skip(TEST, &report["not_available"]["processes[0].heap"].to_string());
    }
    let live = heap["live_bytes"].as_u64().unwrap();
    assert!((50 << 20..60 << 20).contains(&live), "{heap}");
    let roles: Vec<&str> = heap["regions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["window", "records", "direct"]);
    let kind = process["kinds"]
        .as_array()
        .unwrap()
        .iter()
        .find(|kind| kind["kind"] == "neap")
        .unwrap();
    let regions: u64 = heap["regions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["rss_bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(kind["rss_bytes"].as_u64(), Some(regions));
    assert!(
        process["verdict"]
            .as_str()
            .unwrap()
            .contains("the heap of libneap.so")
    );
}
