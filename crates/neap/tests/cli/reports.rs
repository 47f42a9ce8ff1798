//! What neap says about a run.

use crate::support::{BURST, assert_reasons_lead_to_nulls, compile, folder, json, library, neap_run, stderr};

#[test]
fn json_has_its_schema_and_every_figure_is_a_number_or_has_a_reason() {
    let test = "json_has_its_schema_and_every_figure_is_a_number_or_has_a_reason";
    let Some(library) = library(test) else { return };
    let output = neap_run(&library)
        .args(["--json", "-o", "-", "--", "sleep", "0.2"])
        .output()
        .unwrap();
    assert_eq!(stderr(&output), "", "with --output nothing else is printed");
    let report = json(&output);
    assert_eq!(report["schema"], "neap.run/1");
    assert_eq!(report["command"], serde_json::json!(["sleep", "0.2"]));
    assert_eq!(
        (&report["exit"]["code"], &report["exit"]["neap_code"]),
        (&0.into(), &0.into())
    );
    for path in [
        "/time/wall_ns",
        "/time/user_ns",
        "/time/system_ns",
        "/rss/peak_bytes",
        "/rss/final_bytes",
        "/rss/first_bytes",
        "/pss/peak_bytes",
        "/pss/last_bytes",
        "/heap/live_bytes",
        "/heap/live_peak_bytes",
        "/heap/held_bytes",
        "/heap/held_peak_bytes",
        "/heap/given_back_total_bytes",
        "/faults/minor",
        "/faults/major",
        "/series/interval_ns",
    ] {
        assert!(
            report.pointer(path).is_some_and(serde_json::Value::is_u64),
            "{path}: {report:#}"
        );
    }
    let calls = report["memory_calls"].as_array().unwrap();
    let names: Vec<&str> = calls.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["brk", "mmap", "munmap", "mremap", "madvise", "mprotect"]);
    assert!(report["series"]["points"].as_array().unwrap().len() > 3);
    assert!(
        report["processes"][0]["heap"]["finished"].is_boolean(),
        "{report:#}"
    );
    assert!(report["time"]["wall_ns"].as_u64().unwrap() >= 200_000_000);
    assert_reasons_lead_to_nulls(&report);
}

#[test]
fn text_has_every_line_and_no_colour_in_a_pipe() {
    let Some(library) = library("text_has_every_line_and_no_colour_in_a_pipe") else {
        return;
    };
    let output = neap_run(&library).args(["--", "sleep", "0.2"]).output().unwrap();
    let text = stderr(&output);
    for part in [
        "time",
        "wall",
        "RSS",
        "PSS",
        "live",
        "held",
        "given back",
        "faults",
        "memory call",
        "peak",
    ] {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
    assert!(!text.contains('\x1b'), "{text}");
    assert!(text.contains('█'), "{text}");
    let output = neap_run(&library)
        .args(["--", "sleep", "0.2"])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(stderr(&output).is_ascii(), "{}", stderr(&output));
}

#[test]
fn a_burst_ebbs_and_the_verdict_says_so() {
    let test = "a_burst_ebbs_and_the_verdict_says_so";
    let Some(library) = library(test) else { return };
    let folder = folder();
    let Some(burst) = compile(test, &folder, "burst", BURST, &["-O0"]) else {
        return;
    };
    for backend in ["mmap", "brk"] {
        let arguments = ["--json", "-o", "-", "--backend", backend];
        let report = json(&neap_run(&library).args(arguments).arg(&burst).output().unwrap());
        assert_eq!(report["backend"], backend);
        let bytes = |path: &str| report.pointer(path).and_then(serde_json::Value::as_u64).unwrap();
        assert!(bytes("/rss/peak_bytes") > 64 << 20, "{report:#}");
        assert!(bytes("/heap/held_peak_bytes") >= 64 << 20, "{report:#}");
        assert!(bytes("/heap/given_back_total_bytes") > 48 << 20, "{report:#}");
        assert!(
            report["rss"]["given_back_share"].as_f64().unwrap() > 0.8,
            "{report:#}"
        );
        let verdict = report["verdict"].as_str().unwrap();
        assert!(
            verdict.starts_with("peak ") && verdict.contains(" % given back before exit"),
            "{verdict}"
        );
    }
}

#[test]
fn a_passed_limit_gives_exit_code_3_unless_the_command_failed() {
    let test = "a_passed_limit_gives_exit_code_3_unless_the_command_failed";
    let Some(library) = library(test) else { return };
    let folder = folder();
    let source = BURST
        .replace("return 0;", "return argc - 1;")
        .replace("main(void)", "main(int argc, char **argv)");
    let source = source.replace("1500000", "1000");
    let Some(burst) = compile(test, &folder, "burst", &source, &["-O0"]) else {
        return;
    };
    let run = |limit: &str, argument: Option<&str>| {
        neap_run(&library)
            .args(["--max-rss", limit])
            .arg(&burst)
            .args(argument)
            .output()
            .unwrap()
    };
    let passed = run("32M", None);
    assert_eq!(passed.status.code(), Some(3), "{}", stderr(&passed));
    assert!(
        stderr(&passed).contains("the limit of 32.0 MiB was passed after"),
        "{}",
        stderr(&passed)
    );
    assert_eq!(run("32M", Some("fail")).status.code(), Some(1));
    assert_eq!(run("1G", None).status.code(), Some(0));
}

#[test]
fn a_peak_between_two_readings_still_passes_the_limit() {
    let test = "a_peak_between_two_readings_still_passes_the_limit";
    let Some(library) = library(test) else { return };
    let folder = folder();
    let source = BURST
        .replace("1500000", "0")
        .replace("200000", "0")
        .replace("50000", "700000");
    let Some(burst) = compile(test, &folder, "burst", &source, &["-O0"]) else {
        return;
    };
    let output = neap_run(&library)
        .args(["--interval", "1h", "--max-rss", "32M"])
        .arg(&burst)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

#[test]
fn the_report_goes_where_it_is_told() {
    let Some(library) = library("the_report_goes_where_it_is_told") else {
        return;
    };
    let folder = folder();
    let path = folder.path().join("report");
    let output = neap_run(&library)
        .arg("-o")
        .arg(&path)
        .args(["--", "echo", "out"])
        .output()
        .unwrap();
    assert_eq!(
        (output.stdout.as_slice(), stderr(&output).as_str()),
        (&b"out\n"[..], "")
    );
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .contains("neap run echo out")
    );
    let output = neap_run(&library)
        .args(["--json", "echo", "out"])
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(report["exit"]["code"], 0);
}
