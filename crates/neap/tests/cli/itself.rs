//! neap runs as any program does: under memcheck, and under its own library.

use std::process::Command;

use crate::support::{folder, json, library, missing, neap, neap_run, stderr};

/// What memcheck ends with when it has found an error.
const FOUND: &str = "99";

/// `valgrind neap ...` without its children; `None` skips the test that called.
fn memcheck(test: &str) -> Option<Command> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        missing(test, "valgrind is not installed");
        return None;
    }
    let mut command = Command::new("valgrind");
    command
        .args([
            "--quiet",
            "--trace-children=no",
            "--track-fds=no",
            "--leak-check=full",
        ])
        .args(["--errors-for-leak-kinds=definite", "--show-leak-kinds=definite"])
        .arg(format!("--error-exitcode={FOUND}"))
        .arg(env!("CARGO_BIN_EXE_neap"))
        .env_remove("LD_PRELOAD")
        .env_remove("NEAP_LIB")
        .env("LC_ALL", "C.UTF-8");
    Some(command)
}

/// Runs `neap ...` under memcheck and wants this exit code and no word of memcheck.
#[track_caller]
fn assert_clean(test: &str, arguments: &[&str], code: i32) {
    let Some(mut command) = memcheck(test) else { return };
    let output = command.args(arguments).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {}",
        stderr(&output)
    );
    assert!(
        !stderr(&output).contains("=="),
        "{arguments:?}: {}",
        stderr(&output)
    );
}

#[test]
fn neap_is_clean_under_memcheck() {
    let test = "neap_is_clean_under_memcheck";
    let Some(library) = library(test) else { return };
    let folder = folder();
    let (lib, out) = (library.to_str().unwrap(), folder.path().to_str().unwrap());
    let page = format!("{out}/page.html");
    let run = ["run", "-o", "/dev/null", "--lib", lib];
    assert_clean(test, &[&run[..], &["sh", "-c", "sleep 0.05; exit 7"]].concat(), 7);
    assert_clean(test, &[&run[..], &["--json", "sleep", "0.1"]].concat(), 0);
    assert_clean(test, &["run", "no-such-command"], 127);
    let compare = [
        "compare",
        "-o",
        "/dev/null",
        "--lib",
        lib,
        "-n",
        "2",
        "--only",
        "system,neap",
    ];
    assert_clean(
        test,
        &[&compare[..], &["--report", &page, "sleep", "0.05"]].concat(),
        0,
    );
    assert_clean(test, &["man", "--out", out], 0);
    assert_clean(test, &["--help"], 0);
}

#[test]
fn neap_runs_under_its_own_library() {
    let Some(library) = library("neap_runs_under_its_own_library") else {
        return;
    };
    for check in ["0", "1"] {
        let output = neap_run(&library)
            .args(["--json", "-o", "-", "--", "sh", "-c", "sleep 0.05; exit 7"])
            .env("LD_PRELOAD", &library)
            .env("NEAP_CHECK", check)
            .output()
            .unwrap();
        assert_eq!(
            (output.status.code(), stderr(&output).as_str()),
            (Some(7), ""),
            "NEAP_CHECK={check}"
        );
        let report = json(&output);
        assert!(report["heap"]["images"].as_u64().unwrap() >= 1, "{report:#}");
        let output = neap()
            .args(["compare", "-n", "2", "--only", "system,neap", "--json", "--lib"])
            .arg(&library)
            .args(["--", "sleep", "0.05"])
            .env("LD_PRELOAD", &library)
            .env("NEAP_CHECK", check)
            .output()
            .unwrap();
        assert_eq!(
            (output.status.code(), stderr(&output).as_str()),
            (Some(0), ""),
            "NEAP_CHECK={check}"
        );
        assert_eq!(json(&output)["runs"].as_array().unwrap().len(), 4);
        let output = neap()
            .args(["doctor", "--json", "--lib"])
            .arg(&library)
            .env("LD_PRELOAD", &library)
            .env("NEAP_CHECK", check)
            .output()
            .unwrap();
        assert_eq!(
            (output.status.code(), stderr(&output).as_str()),
            (Some(0), ""),
            "NEAP_CHECK={check}"
        );
        for arguments in [&["--help"][..], &["man"], &["completions", "bash"]] {
            let output = neap()
                .args(arguments)
                .env("LD_PRELOAD", &library)
                .env("NEAP_CHECK", check)
                .output();
            let output = output.unwrap();
            assert_eq!(
                (output.status.code(), stderr(&output).as_str()),
                (Some(0), ""),
                "{arguments:?}"
            );
            let plain = neap().args(arguments).output().unwrap();
            assert_eq!(output.stdout, plain.stdout, "{arguments:?}");
        }
    }
}
