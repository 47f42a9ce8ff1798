//! The same command under several allocators.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{
    BURST, assert_reasons_lead_to_nulls, compile, folder, is_running, json, library, neap, stderr, wait_until,
};

/// `neap compare --only system,neap` with more arguments to come.
fn compare(library: &std::path::Path) -> Command {
    let mut command = neap();
    command.arg("compare").arg("--lib").arg(library);
    command.args(["--only", "system,neap"]);
    command
}

/// The allocators' names in the order in which they ran.
fn order(report: &Value) -> Vec<&str> {
    let runs = report["runs"].as_array().unwrap();
    runs.iter()
        .map(|run| run["allocator"].as_str().unwrap())
        .collect()
}

#[test]
fn comparison_json_has_its_schema_and_every_figure_is_a_number_or_has_a_reason() {
    let test = "comparison_json_has_its_schema_and_every_figure_is_a_number_or_has_a_reason";
    let Some(library) = library(test) else { return };
    let output = compare(&library)
        .args(["-n", "3", "--json", "--", "sleep", "0.1"])
        .output()
        .unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    let report = json(&output);
    assert_eq!(report["schema"], "neap.compare/1");
    assert_eq!(report["command"], serde_json::json!(["sleep", "0.1"]));
    assert_eq!(
        (&report["baseline"], &report["settings"]["rounds"]),
        (&"system".into(), &3.into())
    );
    assert_eq!(
        order(&report),
        ["system", "neap", "neap", "system", "system", "neap"],
        "each round starts with the next allocator, and the warm-up is not counted"
    );
    for allocator in report["allocators"].as_array().unwrap() {
        assert_eq!(allocator["loaded"]["state"], "loaded", "{allocator:#}");
        assert_eq!(
            (&allocator["runs"], &allocator["runs_counted"]),
            (&3.into(), &3.into())
        );
        for figure in [
            "wall_ns",
            "cpu_ns",
            "rss_peak_bytes",
            "rss_mean_bytes",
            "rss_end_bytes",
            "minor_faults",
        ] {
            let figure = &allocator["figures"][figure];
            assert!(figure["median"].as_u64().unwrap() > 0, "{allocator:#}");
            assert!(
                figure["least"].as_u64() <= figure["greatest"].as_u64(),
                "{allocator:#}"
            );
        }
        assert!(allocator["series"].as_array().unwrap().len() > 3, "{allocator:#}");
    }
    let neap = &report["allocators"][1];
    assert!(
        neap["loaded"]["malloc_from"]
            .as_str()
            .unwrap()
            .ends_with("libneap.so")
    );
    assert!(neap["loaded"]["programs_with"].as_u64().unwrap() > 0, "{neap:#}");
    assert_eq!(neap["figures"]["wall_ns"]["against_baseline"], "too_few_runs");
    assert!(report["runs"][0]["wall_ns"].as_u64().unwrap() >= 100_000_000);
    assert_reasons_lead_to_nulls(&report);
}

#[test]
fn memory_that_is_given_back_shows() {
    let test = "memory_that_is_given_back_shows";
    let Some(library) = library(test) else { return };
    let folder = folder();
    // Blocks below the C library's threshold for mappings, and one on top that keeps the heap from being trimmed.
    let source = BURST
        .replace("free(blocks[i]);", "if (i != N - 1) free(blocks[i]);")
        .replace("1500000", "1000000");
    let Some(burst) = compile(test, &folder, "burst", &source, &["-O0"]) else {
        return;
    };
    let output = compare(&library)
        .args(["-n", "3", "--json"])
        .arg(burst)
        .output()
        .unwrap();
    let report = json(&output);
    let end = &report["allocators"][1]["figures"]["rss_end_bytes"];
    assert!(end["ratio"].as_f64().unwrap() < 0.5, "{end:#}");
    let peak = &report["allocators"][1]["figures"]["rss_peak_bytes"];
    assert!(peak["median"].as_u64().unwrap() > 64 << 20, "{peak:#}");
}

#[test]
fn the_text_has_a_table_curves_and_no_colour_in_a_pipe() {
    let Some(library) = library("the_text_has_a_table_curves_and_no_colour_in_a_pipe") else {
        return;
    };
    let output = compare(&library)
        .args(["-n", "2", "--", "sleep", "0.1"])
        .output()
        .unwrap();
    assert_eq!(stderr(&output), "", "no progress bar in a pipe");
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "wall",
        "CPU",
        "RSS peak",
        "RSS at end",
        "min. faults",
        "system",
        "neap",
        "RSS over time",
        "█",
    ] {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
    assert!(
        text.contains("too few runs to tell a difference from noise"),
        "{text}"
    );
    assert!(
        !text.contains('\x1b') && text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    let output = compare(&library)
        .args(["-n", "1", "--", "sleep", "0.1"])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(
        output.stdout.is_ascii(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn a_command_too_short_to_be_read_has_no_figures_in_place_of_wrong_ones() {
    let test = "a_command_too_short_to_be_read_has_no_figures_in_place_of_wrong_ones";
    let Some(library) = library(test) else { return };
    let output = compare(&library)
        .args(["-n", "2", "--json", "--interval", "1h", "true"])
        .output()
        .unwrap();
    let report = json(&output);
    let notes = report["notes"].to_string();
    assert!(notes.contains("the sampler saw too little"), "{notes}");
    for run in report["runs"].as_array().unwrap() {
        assert!(
            run["rss_end_bytes"].is_null() && run["rss_mean_bytes"].is_null(),
            "{run:#}"
        );
        assert!(run["rss_process_peak_bytes"] != 0, "{run:#}");
    }
    assert_reasons_lead_to_nulls(&report);
}

#[test]
fn the_commands_output_is_compared_and_shown_only_when_asked_for() {
    let Some(library) = library("the_commands_output_is_compared_and_shown_only_when_asked_for") else {
        return;
    };
    let run = |arguments: &[&str], script: &str| {
        let output = compare(&library)
            .args(["-n", "2"])
            .args(arguments)
            .args(["sh", "-c", script])
            .output();
        let output = output.unwrap();
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr(&output),
        )
    };
    let (text, errors) = run(&[], "echo from-the-command; echo and-an-error >&2");
    assert!(
        !text.contains("\nfrom-the-command\n") && errors.is_empty(),
        "{text}{errors}"
    );
    let (text, errors) = run(&["--show-output"], "echo from-the-command; echo and-an-error >&2");
    assert_eq!(text.matches("from-the-command\n").count(), 1, "{text}");
    assert_eq!(errors, "and-an-error\n");
    let (text, _) = run(&[], "echo \"${LD_PRELOAD:-none}\"");
    assert!(
        text.contains("!! the command wrote something else than under system: neap"),
        "{text}"
    );
    let (text, _) = run(&[], "echo $$");
    assert!(text.contains("writes something else each time"), "{text}");
}

#[test]
fn the_command_reads_an_empty_input() {
    let Some(library) = library("the_command_reads_an_empty_input") else {
        return;
    };
    let mut child = compare(&library)
        .args(["-n", "1", "--json", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let open = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(open);
    assert_eq!(json(&output)["runs"][0]["stdout_bytes"], 0);
}

#[test]
fn what_outlives_the_command_is_ended_before_the_next_run() {
    let Some(library) = library("what_outlives_the_command_is_ended_before_the_next_run") else {
        return;
    };
    let folder = folder();
    let pids = folder.path().join("pids");
    let script = format!(
        "setsid sleep 600 >/dev/null 2>&1 & echo $! >>{0}; (trap '' TERM; while :; do sleep 1; done) & echo $! >>{0}",
        pids.display()
    );
    let output = compare(&library)
        .args(["-n", "1", "--warmup", "0", "--json", "sh", "-c", &script])
        .output()
        .unwrap();
    let report = json(&output);
    let pids = std::fs::read_to_string(pids).unwrap();
    assert_eq!(pids.lines().count(), 4);
    assert!(pids.lines().all(|pid| !is_running(pid)), "{report:#}");
    assert!(
        report["runs"][0]["leftover_processes"].as_u64().unwrap() >= 2,
        "{report:#}"
    );
    assert!(
        report["notes"].to_string().contains("outlived the command"),
        "{report:#}"
    );
}

#[test]
fn the_html_report_needs_nothing_else() {
    let Some(library) = library("the_html_report_needs_nothing_else") else {
        return;
    };
    let folder = folder();
    let path = folder.path().join("report.html");
    let output = compare(&library)
        .args(["-n", "2", "--report"])
        .arg(&path)
        .args(["--", "sh", "-c", "sleep 0.1 # <b>&\"</b>"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let html = std::fs::read_to_string(&path).unwrap();
    for part in [
        "<!DOCTYPE html>",
        "<svg",
        "aria-label",
        "<caption>",
        "scope=\"col\"",
        "scope=\"row\"",
        "color-scheme: light dark",
        "light-dark(",
        "&lt;b&gt;&amp;&quot;&lt;/b&gt;",
        "Linux ",
        env!("CARGO_PKG_VERSION"),
    ] {
        assert!(html.contains(part), "`{part}` is missing");
    }
    for foreign in ["http:", "https:", "src=", "<script", "@import", "url(", "<b>&"] {
        assert!(!html.contains(foreign), "`{foreign}` is there");
    }
    assert_eq!(
        html.matches("class=\"curve").count(),
        2,
        "a curve for each allocator"
    );
    for tag in ["table", "svg", "tr", "section", "ul", "details", "main", "figure"] {
        let (opened, closed) = (format!("<{tag}"), format!("</{tag}>"));
        let opened = html
            .match_indices(&opened)
            .filter(|(at, text)| html[at + text.len()..].starts_with(['>', ' ']));
        assert_eq!(opened.count(), html.matches(&closed).count(), "{tag}");
    }
}

#[test]
fn an_interrupted_comparison_ends_its_children_and_reports_what_it_has() {
    let Some(library) = library("an_interrupted_comparison_ends_its_children_and_reports_what_it_has") else {
        return;
    };
    let folder = folder();
    let pids = folder.path().join("pids");
    // The third run hangs: system, neap, neap.
    let script = format!(
        "echo $$ >>{0}; test $(wc -l <{0}) -lt 3 || exec sleep 600",
        pids.display()
    );
    let child = compare(&library)
        .args(["-n", "2", "--warmup", "0", "--json", "sh", "-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let third = || {
        let text = std::fs::read_to_string(&pids).unwrap_or_default();
        text.lines().nth(2).map(str::to_owned)
    };
    wait_until("the third run", || third().is_some_and(|pid| is_running(&pid)));
    let signalled = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(signalled.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(!is_running(&third().unwrap()), "the sleeper is left");
    let report = json(&output);
    assert_eq!(order(&report), ["system", "neap"]);
    assert_eq!(report["exit"]["interrupted_by"], "SIGINT");
    assert!(
        report["alarms"]
            .to_string()
            .contains("interrupted by SIGINT after 2 runs"),
        "{report:#}"
    );
}
