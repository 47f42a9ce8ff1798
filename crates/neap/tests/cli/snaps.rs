//! `neap snap` and `neap diff`: what is kept can be shown and compared, and what is wrong is told by its line.

use std::fs;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::maps::{assert_golden, neap_in, recorded, text};
use crate::strange::Stopped;
use crate::support::{assert_reasons_lead_to_nulls, folder, json, neap, stderr};

fn run(arguments: &[&str]) -> Output {
    neap().args(arguments).output().unwrap()
}

/// PSS is as others are, and they come and go.
fn without_shares(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("pss_bytes");
            fields.values_mut().for_each(without_shares);
        }
        Value::Array(all) => all.iter_mut().for_each(without_shares),
        _ => {}
    }
}

#[test]
fn a_snapshot_shows_what_the_process_showed() {
    let Some(strange) = Stopped::strange("a_snapshot_shows_what_the_process_showed", 10) else {
        return;
    };
    let (folder, pid) = (folder(), strange.pid().to_string());
    let file = folder.path().join("a.snap");
    let path = file.to_str().unwrap();
    let output = run(&["snap", &pid, "-o", path, "--pages"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for arguments in [&["--json"][..], &["--json", "--all", "--sort", "size"], &["-x"]] {
        let live = run(&[&["maps", &pid], arguments].concat());
        let kept = run(&[&["maps", "--from", path], arguments].concat());
        assert_eq!(kept.status.code(), Some(0), "{}", stderr(&kept));
        if arguments == ["-x"] {
            assert_eq!(text(&live), text(&kept));
            continue;
        }
        let figures = |output: &Output| {
            let mut process = json(output)["processes"][0].clone();
            without_shares(&mut process);
            [
                "total",
                "kernel_total",
                "residual",
                "kinds",
                "mappings",
                "verdict",
            ]
            .map(|key| process[key].clone())
        };
        assert_eq!(figures(&live), figures(&kept), "{arguments:?}");
    }
    let output = run(&["diff", path, &pid, "--exit-code"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("Nothing differs"));
}

#[test]
fn a_file_is_overwritten_only_when_that_is_asked_for() {
    let (folder, me) = (folder(), std::process::id().to_string());
    let file = folder.path().join("a.snap");
    let path = file.to_str().unwrap();
    fs::write(&file, "mine").unwrap();
    let output = run(&["snap", &me, "-o", path]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--force overwrites it"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(run(&["snap", &me, "-o", path, "--force"]).status.code(), Some(0));
    assert!(fs::read(&file).unwrap().starts_with(b"neap snapshot 1\n"));
    let none = folder.path().join("none.snap");
    let output = run(&["snap", "4194304", "-o", none.to_str().unwrap()]);
    assert_eq!((output.status.code(), none.exists()), (Some(125), false));
}

#[test]
fn two_snapshots_are_compared() {
    let folder = folder();
    recorded(folder.path(), "a.snap", "2026-03-01T12:00:00.000Z", 0);
    recorded(folder.path(), "b.snap", "2026-03-01T12:00:05.000Z", 16);
    let diff = |arguments: &[&str]| neap_in(folder.path(), &[&["diff"], arguments].concat());
    let output = diff(&["a.snap", "b.snap"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_golden("diff.txt", &text(&output));
    let mut report = json(&diff(&["--json", "a.snap", "b.snap"]));
    assert_reasons_lead_to_nulls(&report);
    assert_eq!(report["schema"], "neap.diff/1");
    assert_eq!(report["total"]["change"]["rss_bytes"], 16 * 4096);
    report["neap_version"] = Value::Null;
    assert_golden(
        "diff.json",
        &(serde_json::to_string_pretty(&report).unwrap() + "\n"),
    );
    let back = json(&diff(&["--json", "b.snap", "a.snap"]));
    assert_eq!(back["total"]["change"]["rss_bytes"], -16 * 4096);
    assert_eq!(
        (&back["mappings"][0]["fate"], &back["elapsed_ns"]),
        (&"shrank".into(), &Value::Null)
    );
    assert_eq!(diff(&["a.snap", "b.snap", "--exit-code"]).status.code(), Some(1));
    assert_eq!(diff(&["a.snap", "a.snap", "--exit-code"]).status.code(), Some(0));
}

#[test]
fn what_a_process_does_meanwhile_is_told() {
    let mut shell = Command::new("sh")
        .args([
            "-c",
            "sleep 0.3; x=$(head -c 9000000 /dev/zero | tr '\\0' x); echo; sleep 60",
        ])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let output = run(&["diff", &shell.id().to_string(), "--after", "2s", "--json"]);
    let _ = shell.kill();
    shell.wait().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["same_process"], true);
    // The shell has begun: at the least its command line became memory. How much is its own affair.
    assert!(report["elapsed_ns"].as_u64().unwrap() >= 2_000_000_000);
    let changes: i64 = report["kinds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["change"]["rss_bytes"].as_i64().unwrap())
        .sum();
    assert_eq!(changes, report["total"]["change"]["rss_bytes"].as_i64().unwrap());
}

#[test]
fn two_processes_have_no_addresses_in_common() {
    let sleep = || Stopped::command(Command::new("sh").args(["-c", "echo; read x; sleep 60"]));
    let (one, other) = (sleep(), sleep());
    let output = run(&["diff", "--json", &one.pid().to_string(), &other.pid().to_string()]);
    let report = json(&output);
    assert_reasons_lead_to_nulls(&report);
    assert_eq!(
        (&report["same_process"], &report["mappings"]),
        (&false.into(), &Value::Null)
    );
    let output = run(&["diff", &one.pid().to_string(), &other.pid().to_string()]);
    assert!(text(&output).contains("two processes"), "{}", text(&output));
}

#[test]
fn files_that_are_no_snapshots_are_refused_by_their_line() {
    let folder = folder();
    let good = recorded(folder.path(), "a.snap", "2026-03-01T12:00:00.000Z", 0);
    let text = fs::read_to_string(good).unwrap();
    let refused = |content: &str, line: &str| {
        fs::write(folder.path().join("b.snap"), content).unwrap();
        for arguments in [
            &["maps", "--from", "b.snap"][..],
            &["diff", "a.snap", "b.snap"],
            &["diff", "b.snap", "a.snap"],
        ] {
            let output = neap_in(folder.path(), arguments);
            assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
            let said = stderr(&output);
            assert!(said.contains(&format!("b.snap: {line}")), "{said}");
            assert_eq!(said.lines().count(), 1);
        }
    };
    refused("", "line 1: no snapshot");
    refused("\u{7f}ELF\n", "line 1: no snapshot");
    refused(
        &text.replace("neap snapshot 1", "neap snapshot 7"),
        "line 1: a snapshot of version 7",
    );
    refused(&text.replace("pid 4711", "pid -1"), "line 3: `pid` has no value");
    let half = text
        .lines()
        .take(1000)
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    refused(&half, "line 1001: the file ends here;");
    refused(&text.replacen("Rss:", "Rss;", 1), "line ");
    refused(&format!("{text}more\n"), "line ");
    let output = neap_in(folder.path(), &["diff", "a.snap", "none.snap"]);
    assert_eq!(output.status.code(), Some(125));
    let output = neap_in(folder.path(), &["diff", "a.snap", "--after", "1s"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("give a PID"), "{}", stderr(&output));
}
