//! What the command gets and gives is not neap's to change.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::{library, neap_run, stderr};

#[test]
fn exit_codes_pass_through() {
    let Some(library) = library("exit_codes_pass_through") else {
        return;
    };
    for code in [0, 1, 7, 255] {
        let output = neap_run(&library)
            .args(["--", "sh", "-c", &format!("exit {code}")])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    }
}

#[test]
fn a_command_killed_by_a_signal_gives_128_plus_its_number_and_the_report_names_it() {
    let name = "a_command_killed_by_a_signal_gives_128_plus_its_number_and_the_report_names_it";
    let Some(library) = library(name) else { return };
    for (signal, code) in [("TERM", 143), ("KILL", 137), ("RTMIN", 162)] {
        let output = neap_run(&library)
            .args(["sh", "-c", &format!("kill -{signal} $$")])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        let named = if code == 162 {
            "signal 34".to_owned()
        } else {
            format!("SIG{signal}")
        };
        assert!(stderr(&output).contains(&named), "{}", stderr(&output));
    }
}

#[test]
fn standard_streams_pass_through_byte_for_byte() {
    let Some(library) = library("standard_streams_pass_through_byte_for_byte") else {
        return;
    };
    let bytes: Vec<u8> = (0..1_000_003_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])
        .collect();
    let mut child = neap_run(&library)
        .args(["--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut stdin, sent) = (child.stdin.take().unwrap(), bytes.clone());
    let writer = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let mut received = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut received).unwrap();
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(
        received == bytes,
        "{} bytes came back of {}",
        received.len(),
        bytes.len()
    );
}

#[test]
fn stderr_of_the_command_comes_before_the_report() {
    let Some(library) = library("stderr_of_the_command_comes_before_the_report") else {
        return;
    };
    let output = neap_run(&library)
        .args(["sh", "-c", "echo mine >&2"])
        .output()
        .unwrap();
    assert!(
        stderr(&output).starts_with("mine\n\nneap run sh"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_command_has_no_signal_blocked_and_its_own_environment() {
    let Some(library) = library("the_command_has_no_signal_blocked_and_its_own_environment") else {
        return;
    };
    let output = neap_run(&library)
        .args([
            "sh",
            "-c",
            "grep SigBlk /proc/self/status; echo $MINE; echo $LD_PRELOAD",
        ])
        .env("MINE", "kept")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["SigBlk:\t0000000000000000", "kept"]);
    assert_eq!(lines[2], library.display().to_string());
}

#[test]
fn a_library_that_was_preloaded_already_stays_after_libneap() {
    let Some(library) = library("a_library_that_was_preloaded_already_stays_after_libneap") else {
        return;
    };
    let output = neap_run(&library)
        .args(["sh", "-c", "echo $LD_PRELOAD"])
        .env("LD_PRELOAD", &library)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.trim(), format!("{0}:{0}", library.display()));
}

/// Starts a shell that traps `signal` and exits with 9, and waits until it is ready.
fn trap(library: &Path, signal: &str) -> Child {
    // A test runner in the background may ignore SIGINT, and a shell cannot trap what it was born ignoring.
    let script = format!("trap 'exit 9' {signal}; echo ready; while :; do sleep 0.02; done");
    let mut child = neap_run(library)
        .args([
            "--",
            "env",
            &format!("--default-signal={signal}"),
            "sh",
            "-c",
            &script,
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
    child
}

fn kill(child: &Child, signal: &str) {
    let pid = child.id().to_string();
    let status = std::process::Command::new("kill")
        .args(["-s", signal, &pid])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn signals_sent_to_neap_reach_the_command() {
    let Some(library) = library("signals_sent_to_neap_reach_the_command") else {
        return;
    };
    for signal in ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"] {
        let mut child = trap(&library, signal);
        kill(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(9), "{signal}");
    }
}

#[test]
fn neap_stops_and_goes_on_with_the_command() {
    let Some(library) = library("neap_stops_and_goes_on_with_the_command") else {
        return;
    };
    let mut child = neap_run(&library)
        .args(["sh", "-c", "kill -STOP $$; exit 5"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stopped = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        stat.rsplit(')').next().unwrap().trim_start().starts_with('T')
    };
    let start = Instant::now();
    while !stopped() {
        assert!(start.elapsed() < Duration::from_secs(10), "neap did not stop");
        std::thread::sleep(Duration::from_millis(5));
    }
    kill(&child, "CONT");
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn a_file_without_a_first_line_is_run_by_the_shell() {
    let Some(library) = library("a_file_without_a_first_line_is_run_by_the_shell") else {
        return;
    };
    let folder = crate::support::folder();
    let script = folder.path().join("script");
    std::fs::write(&script, "exit $#\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let output = neap_run(&library)
        .arg(&script)
        .args(["a", "b", "c"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

#[test]
fn a_reader_of_the_report_that_has_gone_is_no_failure() {
    let Some(library) = library("a_reader_of_the_report_that_has_gone_is_no_failure") else {
        return;
    };
    let mut child = neap_run(&library)
        .args(["-o", "-", "--json", "--", "sh", "-c", "sleep 0.1; exit 4"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(4));
}
