//! The command's children are followed across fork and exec.

use std::time::{Duration, Instant};

use crate::support::{BURST, compile, folder, json, library, neap_run, stderr};

#[test]
fn children_are_followed_across_fork_and_exec() {
    let test = "children_are_followed_across_fork_and_exec";
    let Some(library) = library(test) else { return };
    let folder = folder();
    let source = BURST.replace("1500000", "300000");
    let Some(burst) = compile(test, &folder, "burst", &source, &["-O0"]) else {
        return;
    };
    let script = format!("'{0}' & '{0}'; wait", burst.display());
    let output = neap_run(&library)
        .args(["--json", "-o", "-", "sh", "-c", &script])
        .output()
        .unwrap();
    let report = json(&output);
    let processes = report["processes"].as_array().unwrap();
    let bursts: Vec<_> = processes
        .iter()
        .filter(|p| p["command"][0].as_str().unwrap().ends_with("burst"))
        .collect();
    assert_eq!(bursts.len(), 2, "{report:#}");
    for process in bursts {
        assert!(
            process["heap"]["held_peak_bytes"].as_u64().unwrap() >= 64 << 20,
            "{report:#}"
        );
        assert!(
            process["rss_peak_bytes"].as_u64().unwrap() >= 64 << 20,
            "{report:#}"
        );
    }
    assert!(
        report["rss"]["peak_bytes"].as_u64().unwrap() >= 128 << 20,
        "both at once: {report:#}"
    );
    assert!(report["faults"]["minor"].as_u64().unwrap() >= 32768, "{report:#}");
}

#[test]
fn the_report_comes_with_the_end_of_the_command_and_names_who_still_runs() {
    let Some(library) = library("the_report_comes_with_the_end_of_the_command_and_names_who_still_runs")
    else {
        return;
    };
    let start = Instant::now();
    let arguments = [
        "--json",
        "-o",
        "-",
        "sh",
        "-c",
        "sleep 3 >/dev/null 2>&1 & exit 6",
    ];
    let output = neap_run(&library).args(arguments).output().unwrap();
    assert!(
        start.elapsed() < Duration::from_millis(2500),
        "neap waited for the sleeper"
    );
    assert_eq!(output.status.code(), Some(6));
    let report = json(&output);
    assert_eq!(report["still_running"].as_array().unwrap().len(), 1, "{report:#}");
    assert!(
        report["warnings"][0]
            .as_str()
            .unwrap()
            .contains("1 descendant is still running"),
        "{report:#}"
    );
}

#[test]
fn orphans_are_followed_to_their_end_with_wait_all() {
    let Some(library) = library("orphans_are_followed_to_their_end_with_wait_all") else {
        return;
    };
    let start = Instant::now();
    let script = "(setsid sleep 0.7 >/dev/null 2>&1 &) ; exit 6";
    let arguments = ["--wait-all", "--json", "-o", "-", "sh", "-c", script];
    let output = neap_run(&library).args(arguments).output().unwrap();
    assert!(start.elapsed() >= Duration::from_millis(700), "neap did not wait");
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["still_running"].as_array().unwrap().len(), 0);
    let sleeper = report["processes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["command"][0] == "sleep")
        .unwrap();
    assert_eq!(
        sleeper["exit_code"], 0,
        "neap adopted and collected it: {report:#}"
    );
}

#[test]
fn a_full_board_is_harmless() {
    let Some(library) = library("a_full_board_is_harmless") else {
        return;
    };
    let script = "i=0; while [ $i -lt 4200 ]; do (:); i=$((i+1)); done; exit 4";
    let arguments = ["--json", "-o", "-", "sh", "-c", script];
    let output = neap_run(&library).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let report = json(&output);
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("the board is full"), "{warnings}");
    assert_eq!(report["heap"]["images"], 4095);
}
