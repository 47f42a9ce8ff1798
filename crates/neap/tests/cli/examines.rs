//! `neap doctor`: what is not there is never called ok.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{compile, folder, json, library, neap, skip, stderr};

/// Installs a seccomp filter that answers one call with an errno (or kills for it), then runs a command:
/// `filter CALL ERRNO|kill CMD...`.
const FILTER: &str = r#"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
static const struct { const char *name; long number; } calls[] = {
    {"memfd_create", SYS_memfd_create}, {"userfaultfd", SYS_userfaultfd}, {"clone", SYS_clone},
    {"cachestat", 451}, {"mseal", 462},
};
int main(int argc, char **argv) {
    long number = -1;
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
        if (argc > 3 && !strcmp(calls[i].name, argv[1])) number = calls[i].number;
    if (number < 0) return 77;
    unsigned answer = !strcmp(argv[2], "kill") ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | atoi(argv[2]);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 77;
    execv(argv[3], argv + 3);
    return 77;
}
"#;

fn doctor(library: &Path) -> Command {
    let mut command = neap();
    command.args(["doctor", "--json", "--lib"]).arg(library);
    command
}

/// `neap doctor --json` under a filter; `None` skips the test that called.
fn filtered(test: &str, folder: &TempDir, library: &Path, call: &str, answer: &str) -> Option<Output> {
    let filter: PathBuf = compile(test, folder, "filter", FILTER, &[])?;
    let output = Command::new(filter)
        .args([
            call,
            answer,
            env!("CARGO_BIN_EXE_neap"),
            "doctor",
            "--json",
            "--lib",
        ])
        .arg(library)
        .env_remove("LD_PRELOAD")
        .output()
        .unwrap();
    if output.status.code() == Some(77) {
        skip(test, "no seccomp filter can be installed here");
        return None;
    }
    Some(output)
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let groups = report["groups"].as_array().unwrap().iter();
    let mut checks = groups.flat_map(|group| group["checks"].as_array().unwrap());
    checks
        .find(|check| check["name"] == name)
        .unwrap_or_else(|| panic!("{name}: {report:#}"))
}

#[test]
fn what_neap_needs_is_there_and_everything_else_has_a_status() {
    let test = "what_neap_needs_is_there_and_everything_else_has_a_status";
    let Some(library) = library(test) else { return };
    let output = doctor(&library).output().unwrap();
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(
        (&report["schema"], &report["healthy"]),
        (&"neap.doctor/1".into(), &true.into())
    );
    for group in report["groups"].as_array().unwrap() {
        for check in group["checks"].as_array().unwrap() {
            let status = check["status"].as_str().unwrap();
            assert!(
                ["ok", "limited", "missing", "denied", "unknown"].contains(&status),
                "{check:#}"
            );
            assert!(
                ["needed", "optional"].contains(&check["need"].as_str().unwrap()),
                "{check:#}"
            );
            assert!(!check["found"].as_str().unwrap().is_empty(), "{check:#}");
            if status != "ok" {
                assert!(!check["cost"].as_str().unwrap().is_empty(), "{check:#}");
                assert!(!check["mend"].as_str().unwrap().is_empty(), "{check:#}");
            }
        }
    }
    for name in [
        "libneap.so",
        "C library",
        "serves malloc",
        "mmap",
        "MADV_DONTNEED",
        "/proc/PID/statm",
    ] {
        assert_eq!(check(&report, name)["status"], "ok", "{report:#}");
    }
    let burst = check(&report, "gives memory back");
    assert!(
        burst["found"].as_str().unwrap().contains("a burst of 6"),
        "{burst:#}"
    );
}

#[test]
fn a_library_that_is_not_there_is_missing() {
    let output = doctor(Path::new("/nowhere/libneap.so")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["healthy"], false);
    assert_eq!(check(&report, "libneap.so")["status"], "missing");
    assert!(
        report["verdict"].as_str().unwrap().contains("libneap.so"),
        "{report:#}"
    );
}

#[test]
fn a_library_that_does_not_serve_malloc_is_found_out() {
    let test = "a_library_that_does_not_serve_malloc_is_found_out";
    let folder = folder();
    // Defines malloc and free, and cannot be loaded for want of a symbol.
    let source = "#include <stddef.h>\nextern int nobody_has_this(void);\n\
                  void *malloc(size_t n) { return (void *)(size_t)nobody_has_this(); }\nvoid free(void *p) {}\n";
    let Some(broken) = compile(test, &folder, "libneap.so", source, &["-shared", "-fPIC"]) else {
        return;
    };
    let output = doctor(&broken).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(check(&report, "serves malloc")["status"], "missing", "{report:#}");
    assert_ne!(check(&report, "gives memory back")["status"], "ok", "{report:#}");
}

#[test]
fn a_limit_is_limited_and_not_ok() {
    let Some(library) = library("a_limit_is_limited_and_not_ok") else {
        return;
    };
    let script = format!(
        "ulimit -v 8000000; ulimit -d 4000000; ulimit -l 0; exec {} doctor --json --lib {}",
        env!("CARGO_BIN_EXE_neap"),
        library.display()
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .env_remove("LD_PRELOAD")
        .output()
        .unwrap();
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    for name in ["RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_MEMLOCK"] {
        assert_eq!(check(&report, name)["status"], "limited", "{report:#}");
    }
    assert_eq!(check(&report, "RLIMIT_AS")["found"], "7.63 GiB");
}

#[test]
fn a_call_that_a_filter_refuses_is_denied() {
    let test = "a_call_that_a_filter_refuses_is_denied";
    let Some(library) = library(test) else { return };
    let folder = folder();
    let Some(output) = filtered(test, &folder, &library, "memfd_create", "1") else {
        return;
    };
    let report = json(&output);
    assert_eq!(output.status.code(), Some(1), "neap run needs it: {report:#}");
    assert_eq!(check(&report, "memfd_create")["status"], "denied", "{report:#}");
    assert_eq!(check(&report, "seccomp")["status"], "limited", "{report:#}");
    let Some(output) = filtered(test, &folder, &library, "cachestat", "38") else {
        return;
    };
    let report = json(&output);
    assert_eq!(check(&report, "cachestat")["status"], "missing", "{report:#}");
    assert_eq!(output.status.code(), Some(0), "nothing needs it: {report:#}");
}

#[test]
fn a_call_that_a_filter_kills_for_is_denied_and_the_others_are_still_tried() {
    let test = "a_call_that_a_filter_kills_for_is_denied_and_the_others_are_still_tried";
    let Some(library) = library(test) else { return };
    let folder = folder();
    let Some(output) = filtered(test, &folder, &library, "userfaultfd", "kill") else {
        return;
    };
    let report = json(&output);
    let killed = check(&report, "userfaultfd");
    assert_eq!(
        (&killed["status"], &killed["found"]),
        (&"denied".into(), &"killed by SIGSYS".into())
    );
    for name in ["mincore", "/proc/PID/pagemap", "mmap"] {
        assert_eq!(check(&report, name)["status"], "ok", "{report:#}");
    }
}

#[test]
fn a_sandbox_without_clone_has_no_helper_and_that_is_said() {
    let test = "a_sandbox_without_clone_has_no_helper_and_that_is_said";
    let Some(library) = library(test) else { return };
    let folder = folder();
    // The C library starts processes with clone3(2), the helper is started with clone(2).
    let Some(output) = filtered(test, &folder, &library, "clone", "1") else {
        return;
    };
    let report = json(&output);
    assert_eq!(check(&report, "clone")["status"], "denied", "{report:#}");
    let burst = check(&report, "gives memory back");
    assert_ne!(burst["status"], "ok", "{burst:#}");
}

#[test]
fn the_examination_as_text_is_grouped_and_plain_in_a_pipe() {
    let output = neap()
        .args(["doctor", "--lib", "/nowhere/libneap.so"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "\nthe library\n",
        "\ncalls of the heap\n",
        "\nlimits\n",
        "MISSING  libneap.so",
        "costs: ",
        "mend:  ",
        "neap will not work here as it should: libneap.so",
    ] {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
    assert!(!text.contains('\x1b'), "{text}");
}
