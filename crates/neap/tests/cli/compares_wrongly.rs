//! What `neap compare` does when an allocator, a library or the command is not as it should be.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{compile, folder, is_running, json, library, neap, stderr};

fn compare(library: &Path) -> Command {
    let mut command = neap();
    command.arg("compare").arg("--lib").arg(library);
    command
}

fn allocator<'a>(report: &'a Value, name: &str) -> &'a Value {
    let rows = report["allocators"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap()
}

#[track_caller]
fn assert_not_loaded(output: &Output, name: &str, why: &str) {
    assert_eq!(output.status.code(), Some(4), "{}", stderr(output));
    let report = json(output);
    let row = allocator(&report, name);
    assert_eq!(row["loaded"]["state"], "not_loaded", "{row:#}");
    assert!(row["loaded"]["reason"].as_str().unwrap().contains(why), "{row:#}");
    let figures = row["figures"].as_object().unwrap();
    assert!(
        figures.values().all(Value::is_null),
        "it was measured all the same: {row:#}"
    );
    assert!(
        report["alarms"]
            .to_string()
            .contains(&format!("{name}: not loaded")),
        "{report:#}"
    );
    assert!(
        allocator(&report, "neap")["figures"]["wall_ns"]["median"].is_u64(),
        "{report:#}"
    );
}

#[test]
fn a_library_that_cannot_be_loaded_is_not_measured() {
    let Some(library) = library("a_library_that_cannot_be_loaded_is_not_measured") else {
        return;
    };
    let folder = folder();
    let fake = folder.path().join("libfake.so");
    std::fs::write(
        &fake,
        "no library at all, though long enough for the headers of one\n",
    )
    .unwrap();
    let output = compare(&library)
        .args(["-n", "1", "--json", "--only", "system,neap,fake"])
        .arg(format!("--with=fake={}", fake.display()))
        .args(["--", "sleep", "0.05"])
        .output()
        .unwrap();
    assert_not_loaded(&output, "fake", "the dynamic linker says: ");
}

#[test]
fn a_library_without_a_malloc_is_not_measured() {
    let test = "a_library_without_a_malloc_is_not_measured";
    let Some(library) = library(test) else { return };
    let folder = folder();
    let Some(other) = compile(
        test,
        &folder,
        "libother.so",
        "int other;\n",
        &["-shared", "-fPIC"],
    ) else {
        return;
    };
    let output = compare(&library)
        .args(["-n", "1", "--json", "--only", "system,neap,other"])
        .arg(format!("--with=other={}", other.display()))
        .args(["--", "sleep", "0.05"])
        .output()
        .unwrap();
    assert_not_loaded(&output, "other", "serves malloc: it defines none of its own");
}

#[test]
fn a_library_that_the_command_shakes_off_is_not_measured() {
    let Some(library) = library("a_library_that_the_command_shakes_off_is_not_measured") else {
        return;
    };
    let output = compare(&library)
        .args(["-n", "1", "--json", "--only", "system,neap", "--interval", "1ms"])
        .args(["--", "sh", "-c", "sleep 0.05; exec env -u LD_PRELOAD sleep 0.3"])
        .output()
        .unwrap();
    let report = json(&output);
    let loaded = &allocator(&report, "neap")["loaded"];
    assert!(loaded["programs_with"].as_u64().unwrap() > 0, "{loaded:#}");
    assert!(loaded["programs_without"].as_u64().unwrap() > 0, "{loaded:#}");
    assert!(
        report["notes"].to_string().contains("did not load it: sleep"),
        "{report:#}"
    );
}

#[test]
fn another_end_under_one_allocator_is_loud_and_its_stderr_is_kept() {
    let Some(library) = library("another_end_under_one_allocator_is_loud_and_its_stderr_is_kept") else {
        return;
    };
    let script = "case $LD_PRELOAD in *libneap*) echo 'what went wrong' >&2; exit 9;; esac; exit 0";
    let run = |format: &[&str]| {
        compare(&library)
            .args(["-n", "2", "--only", "system,neap"])
            .args(format)
            .args(["--", "sh", "-c", script])
            .output()
            .unwrap()
    };
    let output = run(&["--json"]);
    assert_eq!(output.status.code(), Some(4));
    let report = json(&output);
    let alarms = report["alarms"].to_string();
    assert!(
        alarms.contains("neap: exit 9 in 2 of 2 runs, where exit 0 was expected"),
        "{alarms}"
    );
    assert!(alarms.contains("| what went wrong"), "{alarms}");
    assert!(
        allocator(&report, "neap")["figures"]["wall_ns"].is_null(),
        "{report:#}"
    );
    assert_eq!(report["runs"][1]["stderr_tail"], "what went wrong\n");
    assert_eq!(
        (&report["runs"][1]["exit_code"], &report["runs"][1]["counted"]),
        (&9.into(), &false.into())
    );
    let text = String::from_utf8(run(&[]).stdout).unwrap();
    assert!(
        text.contains("n/a (no run ended as expected)") && text.contains("  | what went wrong"),
        "{text}"
    );
}

#[test]
fn a_command_that_always_fails_alike_gives_its_code() {
    let Some(library) = library("a_command_that_always_fails_alike_gives_its_code") else {
        return;
    };
    let only = ["-n", "1", "--only", "system,neap", "--"];
    let exited = compare(&library)
        .args(only)
        .args(["sh", "-c", "exit 7"])
        .output()
        .unwrap();
    assert_eq!(exited.status.code(), Some(7));
    let text = String::from_utf8(exited.stdout).unwrap();
    assert!(text.contains("exit 7 is its usual end"), "{text}");
    let killed = compare(&library)
        .args(only)
        .args(["sh", "-c", "kill -TERM $$"])
        .output()
        .unwrap();
    assert_eq!(killed.status.code(), Some(143));
}

#[test]
fn a_run_that_takes_too_long_is_ended_with_all_its_children() {
    let Some(library) = library("a_run_that_takes_too_long_is_ended_with_all_its_children") else {
        return;
    };
    let folder = folder();
    let pids = folder.path().join("pids");
    let script = format!("setsid sleep 600 & echo $! $$ >>{}; wait", pids.display());
    let output = compare(&library)
        .args([
            "-n",
            "1",
            "--warmup",
            "0",
            "--timeout",
            "300ms",
            "--json",
            "--only",
            "system,neap",
        ])
        .args(["--", "sh", "-c", &script])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(124), "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["runs"][0]["timed_out"], true);
    assert!(
        report["alarms"].to_string().contains("--timeout ended the runs"),
        "{report:#}"
    );
    let pids = std::fs::read_to_string(pids).unwrap();
    assert_eq!(pids.split_whitespace().count(), 4);
    assert!(pids.split_whitespace().all(|pid| !is_running(pid)), "{pids}");
}

#[test]
fn an_allocator_of_the_users_ld_preload_is_left_out() {
    let Some(library) = library("an_allocator_of_the_users_ld_preload_is_left_out") else {
        return;
    };
    let output = compare(&library)
        .args([
            "-n",
            "1",
            "--json",
            "--only",
            "system,neap",
            "--",
            "sleep",
            "0.05",
        ])
        .env("LD_PRELOAD", &library)
        .output()
        .unwrap();
    let report = json(&output);
    let system = allocator(&report, "system")["loaded"]["malloc_from"]
        .as_str()
        .unwrap();
    assert!(!system.contains("libneap"), "{system}");
    assert!(
        report["notes"].to_string().contains("left out of every run"),
        "{report:#}"
    );
}

#[test]
fn comparisons_that_are_called_wrongly() {
    let Some(library) = library("comparisons_that_are_called_wrongly") else {
        return;
    };
    for (arguments, code, part) in [
        (&["--", "no-such-command"][..], 127, "no folder of PATH has it"),
        (&["-n", "0", "true"], 2, "0 is not in 1..=1000"),
        (&["--with", "je", "true"], 2, "write NAME=LIB.so"),
        (&["--with", "neap=/x.so", "true"], 2, "`neap` is taken"),
        (
            &["--with", "je=/bin/sh", "--with", "je=/bin/ls", "true"],
            2,
            "`je` twice",
        ),
        (
            &["--with", "je=/no/such.so", "true"],
            126,
            "there is no such file",
        ),
        (
            &["--only", "nonsense", "true"],
            126,
            "knows no allocator of that name",
        ),
        (&["--timeout", "0", "true"], 2, "must be more than 0"),
        (
            &["--report", "/no/such/folder/x.html", "true"],
            125,
            "/no/such/folder",
        ),
    ] {
        let output = compare(&library).args(arguments).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(part),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_program_that_no_preload_can_serve_is_refused() {
    let test = "a_program_that_no_preload_can_serve_is_refused";
    let Some(library) = library(test) else { return };
    let folder = folder();
    let source = "int main(void) { return 0; }\n";
    let Some(program) = compile(test, &folder, "static", source, &["-static"]) else {
        return;
    };
    let output = compare(&library).arg(program).output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert!(
        stderr(&output).contains("linked statically"),
        "{}",
        stderr(&output)
    );
    assert!(
        !stderr(&output).contains("--force"),
        "there is no such option: {}",
        stderr(&output)
    );
}
