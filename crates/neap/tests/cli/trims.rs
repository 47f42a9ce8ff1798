//! `neap trim`: memory goes, and the program notices nothing.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::support::{
    assert_reasons_lead_to_nulls, compile, folder, json, library, missing, neap, skip, stderr, wait_until,
};

const SLEEPERS: &str = include_str!("trims/sleepers.c");
const STRESS: &str = include_str!("trims/stress.c");

/// How often each busy program is trimmed. Its threads that never wait are tried for a second each time.
const TRIMS: u64 = 9;

/// Waits for a line, and minds no stop.
const READER: &str = r#"
#include <stdio.h>
#include <stdlib.h>
int main(void) {
    free(malloc(100));
    puts("ready");
    fflush(stdout);
    getchar();
    return 0;
}
"#;

/// A program under libneap.so that has said "ready".
struct Running {
    child: Child,
    stdin: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Running {
    fn start(program: &Path, argument: &str, library: &Path, environment: &[(&str, &str)]) -> Running {
        let mut child = Command::new(program)
            .arg(argument)
            .env("LD_PRELOAD", library)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut running = Running {
            stdin: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        };
        assert_eq!(running.line(), "ready\n");
        running
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }

    fn trim(&self) -> serde_json::Value {
        let output = neap().args(["trim", "--json", &self.pid()]).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
        let report = json(&output);
        assert_eq!(report["schema"], "neap.trim/1");
        assert_reasons_lead_to_nulls(&report);
        report["processes"][0].clone()
    }

    /// Lets the program look at what it has.
    fn ends_unharmed(mut self) {
        self.stdin.write_all(b"\n").unwrap();
        assert_eq!(self.line(), "unharmed\n");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether this user may trace a process of its own; if not, the test that asks is skipped.
fn may_trace(test: &str) -> bool {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let readable = std::fs::File::open(format!("/proc/{}/mem", child.id())).is_ok();
    child.kill().unwrap();
    child.wait().unwrap();
    if !readable {
        skip(
            test,
            "this user may not trace its own processes (kernel.yama.ptrace_scope)",
        );
    }
    readable
}

const MODES: [&[(&str, &str)]; 4] = [
    &[],
    &[("NEAP_BACKEND", "brk")],
    &[("NEAP_HELPER", "off")],
    &[("NEAP_CHECK", "1")],
];

#[test]
fn threads_that_sleep_give_back_and_notice_nothing() {
    let test = "threads_that_sleep_give_back_and_notice_nothing";
    let (Some(library), folder) = (library(test), folder()) else {
        return;
    };
    let Some(program) = compile(test, &folder, "sleepers", SLEEPERS, &["-O1", "-pthread"]) else {
        return;
    };
    if !may_trace(test) {
        return;
    }
    for mode in MODES {
        let running = Running::start(&program, "4", &library, mode);
        let first = running.trim();
        for thread in first["threads"].as_array().unwrap() {
            assert_eq!(thread["gave_back"], true, "{mode:?} {thread}");
        }
        assert_eq!(first["complete"], true);
        let figure = |when: &str, name: &str| first[when][name].as_u64().unwrap();
        assert_eq!(figure("after", "cached_bytes"), 0, "{mode:?}");
        if !mode.contains(&("NEAP_CHECK", "1")) {
            // What lay in caches and between blocks has left, and not only the heap says so.
            let (before, after) = (
                figure("before", "resident_bytes"),
                figure("after", "resident_bytes"),
            );
            assert!(before > after + (12 << 20), "{mode:?} {before} {after}");
            let heap = |when| figure(when, "heap_resident_bytes");
            assert!(
                (before - after).abs_diff(heap("before") - heap("after")) < 1 << 20,
                "{mode:?}"
            );
        }
        for _ in 0..5 {
            running.trim();
        }
        running.ends_unharmed();
    }
}

#[test]
fn a_busy_program_is_trimmed_over_and_over_and_never_harmed() {
    let test = "a_busy_program_is_trimmed_over_and_over_and_never_harmed";
    let (Some(library), folder) = (library(test), folder()) else {
        return;
    };
    let Some(program) = compile(test, &folder, "stress", STRESS, &["-O1", "-pthread"]) else {
        return;
    };
    if !may_trace(test) {
        return;
    }
    for mode in MODES {
        let running = Running::start(&program, "", &library, mode);
        for turn in 0..TRIMS {
            let mut neap = neap()
                .args(["trim", &running.pid()])
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            if turn % 3 == 2 {
                // Killed in the midst of it: what runs in the program ends by itself.
                std::thread::sleep(Duration::from_millis(7 * turn));
                neap.kill().unwrap();
                neap.wait().unwrap();
            } else {
                assert!(matches!(neap.wait().unwrap().code(), Some(0 | 1)), "{mode:?}");
            }
        }
        running.ends_unharmed();
    }
}

#[test]
fn who_cannot_be_asked_is_told_with_the_code_for_it() {
    let trim = |pids: &[&str]| neap().arg("trim").args(pids).output().unwrap();
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let pid = child.id().to_string();
    let foreign = trim(&[&pid]);
    assert_eq!(foreign.status.code(), Some(126));
    assert!(
        stderr(&foreign).contains("(sleep): does not run under libneap.so"),
        "{foreign:?}"
    );
    let own = trim(&[&std::process::id().to_string()]);
    assert_eq!(own.status.code(), Some(126), "{own:?}");
    // The worst of several stays, and the report names each.
    let output = neap().args(["trim", "--json", &pid, "4194305"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let report = json(&output);
    assert_eq!(report["processes"].as_array().unwrap().len(), 2);
    assert_eq!(report["processes"][1]["error"], "has ended");
    assert_reasons_lead_to_nulls(&report);
    child.kill().unwrap();
    // A zombie, until it is waited for.
    wait_until("the child to end", || {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .unwrap()
            .contains(") Z ")
    });
    let ended = trim(&[&pid]);
    assert_eq!(ended.status.code(), Some(125));
    assert!(stderr(&ended).contains("a zombie"), "{ended:?}");
    child.wait().unwrap();
    assert_eq!(trim(&["0"]).status.code(), Some(2));
}

#[test]
fn a_process_that_is_traced_or_stopped_is_left_alone() {
    let test = "a_process_that_is_traced_or_stopped_is_left_alone";
    let (Some(library), folder) = (library(test), folder()) else {
        return;
    };
    let Some(program) = compile(test, &folder, "reader", READER, &[]) else {
        return;
    };
    if !may_trace(test) {
        return;
    }
    let running = Running::start(&program, "1", &library, &[]);
    let status = |name: &str| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
        status
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
            .to_owned()
    };
    let kill = |signal: &str| {
        assert!(
            Command::new("kill")
                .args([signal, &running.pid()])
                .status()
                .unwrap()
                .success()
        );
    };
    kill("-STOP");
    wait_until("the program to stop", || status("State:").contains("T (stopped)"));
    let stopped = neap().args(["trim", &running.pid()]).output().unwrap();
    assert_eq!(stopped.status.code(), Some(1), "{stopped:?}");
    assert!(status("State:").contains("T (stopped)"));
    kill("-CONT");
    let mut strace = match Command::new("strace")
        .args(["-f", "-o", "/dev/null", "-p", &running.pid()])
        .stderr(Stdio::null())
        .spawn()
    {
        Ok(strace) => strace,
        Err(_) => return missing(test, "strace is not installed"),
    };
    wait_until("strace to trace it", || !status("TracerPid:").ends_with("\t0"));
    let traced = neap().args(["trim", &running.pid()]).output().unwrap();
    assert_eq!(traced.status.code(), Some(125), "{traced:?}");
    assert!(stderr(&traced).contains("is traced by process"), "{traced:?}");
    assert!(
        Command::new("kill")
            .arg(strace.id().to_string())
            .status()
            .unwrap()
            .success()
    );
    strace.wait().unwrap();
    assert!(running.trim()["complete"].as_bool().unwrap());
}
