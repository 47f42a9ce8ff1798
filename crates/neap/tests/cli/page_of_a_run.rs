//! The page that `neap run --report` writes: what is in it, and in a browser without a screen that it loads
//! nothing, complains of nothing, draws, and can be used by mouse, by keyboard and on a phone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::browser::{Reader, look};
use crate::support::{compile, folder, json, library, missing, neap_run, stderr};

/// Keeps every 16th of 10 000 blocks, frees the rest and sleeps; a child does nothing meanwhile.
const HOLES: &str = r#"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    enum { N = 10000 };
    static char *blocks[N];
    if (fork() == 0) { usleep(1200000); _exit(0); }
    usleep(100000);
    for (int i = 0; i < N; i++) { size_t n = 32 + i % 900; blocks[i] = malloc(n); memset(blocks[i], 1, n); }
    usleep(900000);
    for (int i = 0; i < N; i++) if (i % 16) free(blocks[i]);
    usleep(2500000);
    return 0;
}
"#;
/// An argument that would end a script element and begin another.
const HOSTILE: &str = "</script><script>problems.push('evil')</script><b id=evil>\u{2028}<!--";

/// Uses the page with the mouse and the keyboard.
const USE: &str = include_str!("page_of_a_run/use.js");
/// Uses it with two fingers.
const TOUCH: &str = include_str!("page_of_a_run/touch.js");

/// Runs the program with `--report` and more arguments.
fn report(test: &str, folder: &TempDir, more: &[&str]) -> Option<(String, std::process::Output)> {
    let library = library(test)?;
    let program = compile(test, folder, "holes", HOLES, &["-O0"])?;
    let page = folder.path().join("page.html");
    let output = neap_run(&library)
        .arg("--report")
        .arg(&page)
        .args(more)
        .arg("--")
        .arg(program)
        .arg(HOSTILE)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    Some((fs::read_to_string(page).unwrap(), output))
}

#[test]
fn the_page_of_a_run_draws_and_can_be_used_by_mouse_and_keyboard() {
    let test = "the_page_of_a_run_draws_and_can_be_used_by_mouse_and_keyboard";
    let folder = folder();
    let Some((html, _)) = report(test, &folder, &[]) else {
        return;
    };
    let Some(seen) = look(test, &folder, &html, Reader::Desktop, USE) else {
        return;
    };
    assert_eq!(seen["evil"], false);
    assert!(seen["title"].as_str().unwrap().contains("</script>"), "{seen:#}");
    let charts = seen["charts"].as_array().unwrap();
    let ids: Vec<&str> = charts.iter().map(|chart| chart[0].as_str().unwrap()).collect();
    assert_eq!(ids, ["sizes", "faults", "calls", "bytes", "processes"]);
    assert!(
        charts.iter().all(|chart| chart[1].as_u64().unwrap() > 3),
        "{seen:#}"
    );
    assert_eq!(seen["focus"], true);
    assert_eq!(
        seen["moved"],
        serde_json::json!([2, 2]),
        "one cursor in all charts: {seen:#}"
    );
    assert!(seen["said"].as_str().unwrap().contains("RSS "), "{seen:#}");
    let number = |value: &Value| value.as_f64().unwrap();
    let whole = number(&seen["whole"]);
    let close = |value: &Value, wanted: f64| (number(value) - wanted).abs() < whole / 100.0;
    for chart in [0, 1] {
        assert!(close(&seen["zoomed"][chart], whole / 2.0), "{seen:#}");
        assert!(number(&seen["dragged"][chart]) < whole / 2.0, "{seen:#}");
        assert!(close(&seen["reset"][chart], whole), "{seen:#}");
    }
    assert!(close(&seen["all"], whole), "{seen:#}");
    heap(&seen);
    assert_eq!(seen["off"], serde_json::json!(["false", false]));
    assert_ne!(seen["themes"][0][0], seen["themes"][1][0], "the ground's colour");
    assert_ne!(seen["themes"][0][1], seen["themes"][1][1], "a curve's colour");
    assert!(seen["redrawn"].as_u64().unwrap() > 3);
    assert_eq!(
        seen["panels"],
        serde_json::json!([[["peak", "all"]], [["end", "all"]]])
    );
    let sorted: Vec<i64> = seen["sorted"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_i64().unwrap())
        .collect();
    assert!(
        sorted.len() > 3 && sorted.is_sorted_by(|a, b| a >= b),
        "{sorted:?}"
    );
    assert_eq!(seen["order"], "descending");
    let names = seen["names"].as_array().unwrap();
    assert!(
        names.len() > 6
            && names
                .iter()
                .all(|name| name.as_str().is_some_and(|n| n.len() > 9)),
        "{seen:#}"
    );
}

/// What was seen of the map of the heap.
fn heap(seen: &Value) {
    let maps: Vec<&str> = seen["heaps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m[0].as_str().unwrap())
        .collect();
    assert!(maps.contains(&"peak") && maps.contains(&"end"), "{maps:?}");
    assert!(seen["heapDrawn"].as_u64().unwrap() > 3, "{seen:#}");
    let cells = seen["heaps"][0][1].as_u64().unwrap();
    assert_eq!(seen["cellEnd"][0].as_u64().unwrap(), cells - 1);
    assert_eq!(seen["cellMoved"][0], 1);
    assert_eq!(seen["cellUnder"][0], 2, "the third cell of its row");
    for text in ["cellEnd", "cellMoved", "cellUnder"] {
        let text = seen[text][1].as_str().unwrap();
        assert!(text.starts_with("0x") && text.ends_with("memory"), "{text}");
    }
    assert_eq!(seen["mark"], serde_json::json!([false, true]));
}

#[test]
fn a_phone_need_not_scroll_sideways() {
    let test = "a_phone_need_not_scroll_sideways";
    let folder = folder();
    let Some((html, _)) = report(test, &folder, &[]) else {
        return;
    };
    let Some(seen) = look(test, &folder, &html, Reader::Phone, TOUCH) else {
        return;
    };
    assert_eq!(seen["width"], 360, "{seen:#}");
    assert!(seen["needed"].as_u64().unwrap() <= 360, "{seen:#}");
    let touched = seen["touched"].as_array().unwrap();
    assert!(
        touched[0].is_u64() && touched.iter().all(|index| *index == touched[0]),
        "{seen:#}"
    );
    let pinched = seen["pinched"].as_f64().unwrap();
    assert!(
        pinched > 0.05 && pinched < 0.8,
        "two fingers apart zoom in: {seen:#}"
    );
}

#[test]
fn parts_of_the_resident_memory_are_the_kernels_figure() {
    let test = "parts_of_the_resident_memory_are_the_kernels_figure";
    let folder = folder();
    let Some((_, output)) = report(test, &folder, &["--json", "-o", "-"]) else {
        return;
    };
    let report = json(&output);
    let moments = report["moments"].as_array().unwrap();
    let words: Vec<&str> = moments.iter().map(|m| m["when"].as_str().unwrap()).collect();
    assert_eq!(words, ["peak", "end"]);
    let adds_up = |one: &Value| {
        let parts = one["parts"].as_array().unwrap();
        let sum: i64 = parts.iter().map(|part| part["bytes"].as_i64().unwrap()).sum();
        let (rss, residual) = (
            one["rss_bytes"].as_i64().unwrap(),
            one["residual_bytes"].as_i64().unwrap(),
        );
        assert_eq!(sum + residual, rss, "{one:#}");
        // A kernel before 6.17 counts pages of each processor apart and rounds statm to them.
        assert!(residual.abs() <= rss / 20 + (1 << 20), "{one:#}");
    };
    for moment in moments {
        adds_up(moment);
        let processes = moment["processes"].as_array().unwrap();
        processes.iter().for_each(adds_up);
        let sum: i64 = processes.iter().map(|p| p["rss_bytes"].as_i64().unwrap()).sum();
        assert_eq!(sum, moment["rss_bytes"].as_i64().unwrap());
    }
    let peak = moments[0]["rss_bytes"].as_u64().unwrap();
    assert!(peak >= moments[1]["rss_bytes"].as_u64().unwrap());
    let part = |moment: &Value, name: &str| {
        let parts = moment["parts"].as_array().unwrap().iter();
        let bytes = parts
            .filter(|part| part["part"] == name)
            .map(|part| part["bytes"].as_u64().unwrap());
        bytes.sum::<u64>()
    };
    // One block of 16 lives on, 300 KiB, and pins pages of four blocks at least.
    let (live, pinned) = (part(&moments[1], "live"), part(&moments[1], "pinned"));
    assert!(
        (256 << 10..1 << 20).contains(&live) && pinned > live,
        "{moments:#?}"
    );
    assert_eq!(part(&moments[1], "heap"), 0, "the whole heap is split");
    assert!(moments[1]["at_ns"].as_u64() > moments[0]["at_ns"].as_u64());
}

#[test]
fn work_over_time_is_the_work_in_all() {
    let test = "work_over_time_is_the_work_in_all";
    let Some(library) = library(test) else { return };
    let folder = folder();
    let Some(program) = compile(test, &folder, "holes", HOLES, &["-O0"]) else {
        return;
    };
    let output = neap_run(&library)
        .args(["--json", "-o", "-"])
        .arg(program)
        .output()
        .unwrap();
    let report = json(&output);
    assert!(
        report.get("moments").is_none(),
        "nobody asked to look at the memory"
    );
    let points = report["series"]["points"].as_array().unwrap();
    let faults: u64 = points.iter().map(|p| p["minor_faults"].as_u64().unwrap()).sum();
    let all = report["faults"]["minor"].as_u64().unwrap();
    // The last reading is some milliseconds before the end.
    assert!(faults <= all && faults >= all * 9 / 10, "{faults} of {all}");
    for row in report["memory_calls"].as_array().unwrap() {
        let calls = points.iter().flat_map(|p| p["calls"].as_array().unwrap());
        let of_name = calls.filter(|call| call["name"] == row["name"]);
        let bytes: u64 = of_name.map(|call| call["bytes"].as_u64().unwrap()).sum();
        let whole = row["bytes"].as_u64().unwrap();
        assert!(bytes <= whole && bytes >= whole / 2, "{row}: {bytes} of {whole}");
    }
    assert!(points.iter().any(|p| p["processes"] == 2) && points.iter().any(|p| p["pss_bytes"].is_u64()));
    assert!(
        points
            .windows(2)
            .all(|pair| pair[0]["until_ns"].as_u64() <= pair[1]["at_ns"].as_u64())
    );
}

#[test]
fn the_page_needs_no_network_and_stays_small() {
    let test = "the_page_needs_no_network_and_stays_small";
    let folder = folder();
    let Some((html, output)) = report(test, &folder, &[]) else {
        return;
    };
    assert!(
        html.ends_with("</html>\n") && html.len() < 400 << 10,
        "{}",
        html.len()
    );
    for loader in ["<script src", "<link rel=\"stylesheet", "@import", "url(", "<img"] {
        assert!(!html.contains(loader), "{loader}");
    }
    assert!(html.contains("default-src 'none'"));
    assert!(
        html.contains("Copyright (c) 2022 Leon Sorokin"),
        "the licence goes with the library"
    );
    assert!(!html.contains("<b id=evil"), "an argument became markup");
    assert!(
        stderr(&output).contains("peak "),
        "the report as text goes where it went before"
    );
}

#[test]
fn a_page_that_cannot_be_written_is_told_before_the_command_runs() {
    let test = "a_page_that_cannot_be_written_is_told_before_the_command_runs";
    let Some(library) = library(test) else { return };
    let folder = folder();
    let mark = folder.path().join("ran");
    let output = neap_run(&library)
        .args(["--report", "/proc/no/such/page.html", "--", "touch"])
        .arg(&mark)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(
        stderr(&output).contains("/proc/no/such/page.html"),
        "{}",
        stderr(&output)
    );
    assert!(!mark.exists());
}

/// The files of uPlot 1.6.32 as its package has them.
#[test]
fn the_library_that_draws_is_the_published_one() {
    let test = "the_library_that_draws_is_the_published_one";
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/page/uplot");
    let wanted = [
        (
            "uPlot.iife.min.js",
            "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
        ),
        (
            "uPlot.min.css",
            "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
        ),
        (
            "LICENSE",
            "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
        ),
    ];
    let files: Vec<PathBuf> = wanted.iter().map(|(name, _)| place.join(name)).collect();
    let Ok(output) = Command::new("sha256sum").args(&files).output() else {
        return missing(test, "sha256sum is not installed");
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(found, wanted.map(|(_, hash)| hash));
}
