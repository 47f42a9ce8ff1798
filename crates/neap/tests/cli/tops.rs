//! `neap top --once`: the table beside smem's, filters, JSON, what is denied.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::support::{
    assert_reasons_lead_to_nulls, compile, folder, library, missing, neap, skip, stderr, wait_until,
};

/// Kills what it holds.
pub(crate) struct Held(pub(crate) Child);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sleeps for so many seconds: a number that no other test has, so that it can be filtered by.
pub(crate) fn sleeper(seconds: &str) -> Held {
    let child = Command::new("sleep").arg(seconds).spawn().unwrap();
    let held = Held(child);
    let comm = format!("/proc/{}/comm", held.0.id());
    wait_until("sleep to be started", || {
        std::fs::read_to_string(&comm).is_ok_and(|name| name == "sleep\n")
    });
    held
}

fn top(arguments: &[&str]) -> Output {
    neap().arg("top").args(arguments).output().unwrap()
}

fn parsed(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn process(report: &Value, pid: u32) -> &Value {
    let processes = report["processes"].as_array().unwrap();
    let found = processes.iter().find(|process| process["pid"] == pid);
    found.unwrap_or_else(|| panic!("{pid} is not in {report}"))
}

/// Has memory of its own, some that it shares with its child, and pages of a file that both map. Statically
/// linked, so that no process that comes or goes in the meantime changes its share of anything.
const FAMILY: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(void) {
    char *own = malloc(5 << 20);
    memset(own, 1, 5 << 20);
    char *shared = mmap(0, 3 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(shared, 1, 3 << 20);
    pid_t child = fork();
    if (child == 0) {
        memset(own, 2, 1 << 20);
        for (int i = 0; i < 3 << 20; i += 4096) shared[i]++;
        shared[0] = 'c';
        for (;;) pause();
    }
    while (*(volatile char *)shared != 'c') usleep(1000);
    printf("%d\n", child);
    fflush(stdout);
    for (;;) pause();
}
"#;

#[test]
fn figures_are_those_of_smem() {
    const NAME: &str = "figures_are_those_of_smem";
    if Command::new("smem").arg("-h").output().is_err() {
        return missing(NAME, "smem is not installed");
    }
    let folder = folder();
    let Some(program) = compile(NAME, &folder, "family", FAMILY, &["-static", "-O1"]) else {
        return;
    };
    let parent = Held(Command::new(program).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    let mut held = parent;
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(held.0.stdout.take().unwrap()),
        &mut line,
    )
    .unwrap();
    let child: u32 = line.trim().parse().unwrap();
    let pids = [held.0.id(), child];
    for pid in pids {
        signal("STOP", pid);
    }
    for pid in pids {
        let stat = format!("/proc/{pid}/stat");
        wait_until("it to stop", || {
            std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "))
        });
    }
    let report = parsed(&top(&["--once", "--json", "--filter", "family"]));
    let smem = Command::new("smem")
        .args(["-H", "-c", "pid swap uss pss rss"])
        .output()
        .unwrap();
    let smem = String::from_utf8(smem.stdout).unwrap();
    let ours = pids.map(|pid| {
        let process = process(&report, pid);
        assert_eq!(process["rss_source"], "smaps");
        let fields = ["swap_bytes", "uss_bytes", "pss_bytes", "rss_bytes"];
        fields.map(|field| process[field].as_u64().unwrap() / 1024)
    });
    signal("KILL", child);
    let theirs = pids.map(|pid| {
        let rows = smem
            .lines()
            .map(|row| row.split_whitespace().map(|word| word.parse::<u64>().unwrap()));
        let row = rows
            .map(Iterator::collect::<Vec<u64>>)
            .find(|row| row[0] == u64::from(pid));
        let row = row.unwrap_or_else(|| panic!("{pid} is not in {smem}"));
        [row[1], row[2], row[3], row[4]]
    });
    assert_eq!(ours, theirs);
    let [swap, uss, pss, rss] = ours[0];
    assert!(
        swap < uss && uss < pss && pss < rss,
        "something is shared, so they differ: {ours:?}"
    );
}

pub(crate) fn signal(name: &str, pid: u32) {
    let status = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn the_table_is_filtered_sorted_and_limited() {
    let (first, second) = (sleeper("1001"), sleeper("1001"));
    let report = parsed(&top(&[
        "--once",
        "--json",
        "--filter",
        "sleep 1001",
        "--sort",
        "pid",
    ]));
    assert_eq!(report["schema"], "neap.top/1");
    assert_reasons_lead_to_nulls(&report);
    let own = process(&report, first.0.id());
    assert_eq!(own["command"], serde_json::json!(["sleep", "1001"]));
    assert_eq!((&own["name"], &own["threads"]), (&"sleep".into(), &1.into()));
    assert_eq!(own["parent_pid"], std::process::id());
    assert!(own["cpu_share"].is_number(), "there were two readings");
    let pids = |report: &Value| -> Vec<u64> {
        let processes = report["processes"].as_array().unwrap();
        processes
            .iter()
            .map(|process| process["pid"].as_u64().unwrap())
            .collect()
    };
    assert!(pids(&report).is_sorted() && pids(&report).contains(&u64::from(second.0.id())));
    let turned = [
        "--once",
        "--json",
        "--filter",
        "SLEEP 1001",
        "--sort",
        "pid",
        "--reverse",
        "--limit",
        "1",
    ];
    let report = parsed(&top(&turned));
    let last = u64::from(first.0.id().max(second.0.id()));
    assert!(pids(&report).len() == 1 && pids(&report)[0] >= last);
    assert!(report["processes_left_out"].as_u64().unwrap() > 1);
    let nobody = parsed(&top(&["--once", "--json", "--user", "4123456789"]));
    assert!(pids(&nobody).is_empty());
}

#[test]
fn a_pipe_gets_words_and_bytes() {
    let held = sleeper("1002");
    let output = top(&["--once", "--filter", "sleep 1002"]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let heads: Vec<&str> = text.lines().next().unwrap().split(' ').collect();
    assert_eq!(heads[2..6], ["PSS_BYTES", "USS_BYTES", "RSS_BYTES", "SWAP_BYTES"]);
    let pid = held.0.id().to_string();
    let row = text
        .lines()
        .find(|line| line.split(' ').next() == Some(&pid))
        .unwrap();
    let words: Vec<&str> = row.split(' ').collect();
    assert_eq!(words[9..], ["sleep", "1002"]);
    let bytes: Vec<u64> = words[2..6].iter().map(|word| word.parse().unwrap()).collect();
    assert!(
        bytes[0] > 0 && bytes[1] <= bytes[0] && bytes[0] <= bytes[2],
        "{row}"
    );
    let mut closed = neap()
        .args(["top", "--once"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(closed.stdout.take());
    assert!(
        closed.wait().unwrap().success(),
        "a reader that has gone is no failure"
    );
}

#[test]
fn one_process_once_has_its_kinds() {
    let held = sleeper("1003");
    let pid = held.0.id().to_string();
    let report = parsed(&top(&[&pid, "--once", "--json"]));
    assert_eq!(
        (&report["schema"], &report["ended"]),
        (&"neap.top-process/1".into(), &false.into())
    );
    assert_reasons_lead_to_nulls(&report);
    let kinds = report["kinds"].as_array().unwrap();
    let sum: u64 = kinds.iter().map(|kind| kind["rss_bytes"].as_u64().unwrap()).sum();
    assert_eq!(report["process"]["rss_bytes"], sum, "the kinds are all there is");
    assert!(
        report["not_available"]["heap"]
            .as_str()
            .unwrap()
            .contains("libneap.so")
    );
    let text = String::from_utf8(top(&[&pid, "--once"]).stdout).unwrap();
    assert!(
        text.contains("sleep 1003") && text.contains("library") && text.contains("n/a"),
        "{text}"
    );
}

/// Holds 40 MiB of blocks, says so, and waits.
const HOLDER: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    for (int i = 0; i < 640; i++) memset(malloc(65536), 1, 65536);
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}
"#;

#[test]
fn a_heap_of_neaps_is_looked_into() {
    const NAME: &str = "a_heap_of_neaps_is_looked_into";
    let folder = folder();
    let Some(library) = library(NAME) else { return };
    let Some(program) = compile(NAME, &folder, "holder", HOLDER, &["-O1"]) else {
        return;
    };
    let mut command = Command::new(program);
    let mut held = Held(
        command
            .env("LD_PRELOAD", library)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    let mut output = std::io::BufReader::new(held.0.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    let pid = held.0.id().to_string();
    let report = parsed(&top(&[&pid, "--once", "--json"]));
    assert_reasons_lead_to_nulls(&report);
    let why = report["not_available"]["heap"].as_str().unwrap_or_default();
    if why.contains("may not be looked at") {
        return skip(NAME, why);
    }
    let heap = &report["heap"];
    let live = heap["live_bytes"].as_u64().unwrap_or_else(|| panic!("{report}"));
    assert!((40 << 20..48 << 20).contains(&live), "{heap}");
    assert!(heap["held_bytes"].as_u64().unwrap() >= live, "{heap}");
    assert!(
        heap["calls_per_second"].is_number() && heap["calls_total"]["mmap"].as_u64() > Some(0),
        "{heap}"
    );
    let kinds = report["kinds"].as_array().unwrap();
    let own = kinds.iter().find(|kind| kind["kind"] == "neap").unwrap();
    assert!(own["rss_bytes"].as_u64().unwrap() >= 40 << 20, "{own}");
    let text = String::from_utf8(top(&[&pid, "--once"]).stdout).unwrap();
    assert!(
        text.contains("heap   live 4") && text.contains("memory calls/s"),
        "{text}"
    );
}

#[test]
fn wrong_calls_say_how_to_mend_them() {
    let no_terminal = top(&[]);
    assert_eq!(no_terminal.status.code(), Some(2));
    assert!(stderr(&no_terminal).contains("no terminal") && stderr(&no_terminal).contains("--once"));
    let nobody = top(&["4194304"]);
    assert_eq!(nobody.status.code(), Some(2));
    assert!(
        stderr(&nobody).contains("there is no process 4194304"),
        "{}",
        stderr(&nobody)
    );
    let json = top(&["--json"]);
    assert!(json.status.code() == Some(2) && stderr(&json).contains("--once --json"));
    for wrong in [
        ["--once", "--user", "no such user"],
        ["--once", "--interval", "1ms"],
        ["--once", "--sort", "x"],
    ] {
        assert_eq!(top(&wrong).status.code(), Some(2), "{wrong:?}");
    }
    let mut zombie = Held(Command::new("true").spawn().unwrap());
    let pid = zombie.0.id();
    let stat = format!("/proc/{pid}/stat");
    wait_until("it to end", || {
        std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z "))
    });
    let none = top(&[&pid.to_string(), "--once"]);
    assert!(stderr(&none).contains("no memory of its own"), "{none:?}");
    zombie.0.wait().unwrap();
}

#[test]
fn what_is_denied_is_not_zero() {
    const NAME: &str = "what_is_denied_is_not_zero";
    let held = sleeper("1004");
    let mut command = neap();
    command.args(["top", "--once", "--json"]);
    if rustix_is_root() {
        command.uid(65534).gid(65534);
    }
    let Ok(output) = command.output() else {
        return skip(NAME, "another user may not run the neap that was built");
    };
    let report = parsed(&output);
    assert_reasons_lead_to_nulls(&report);
    let pid = if rustix_is_root() { held.0.id() } else { 1 };
    let processes = report["processes"].as_array().unwrap();
    let Some(index) = processes.iter().position(|process| process["pid"] == pid) else {
        return skip(NAME, "/proc hides the processes of others");
    };
    for field in ["pss_bytes", "uss_bytes", "swap_bytes"] {
        assert!(processes[index][field].is_null());
        let reason = &report["not_available"][format!("processes[{index}].{field}")];
        assert_eq!(reason, "permission denied");
    }
    assert_eq!(processes[index]["rss_source"], "statm");
    assert!(processes[index]["rss_bytes"].as_u64() > Some(0));
}

fn rustix_is_root() -> bool {
    rustix::process::geteuid().is_root()
}
