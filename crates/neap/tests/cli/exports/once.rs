//! `neap export --once`: figures are those of /proc, and what is denied has no series.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tempfile::TempDir;

use super::{Running, assert_same, has, library_and_rights, of_process, samples};
use crate::support::{
    BURST, assert_reasons_lead_to_nulls, compile, folder, json, missing, neap, skip, stderr, wait_until,
};

/// Names itself as awkwardly as the kernel allows.
const HOSTILE: &str = r#"
#include <sys/prctl.h>
#include <unistd.h>
int main(void) { prctl(PR_SET_NAME, "a\"b\\c\x1b[1{}=,"); pause(); }
"#;

/// `neap export --once` with more arguments; what it printed.
#[track_caller]
fn once(arguments: &[&str]) -> String {
    let output = neap()
        .args(["export", "--once"])
        .args(arguments)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A number in a column of /proc/PID/stat, counted as in the manual; the test's names have no blanks.
fn column(pid: &str, number: usize) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    text.split(' ').nth(number - 1).unwrap().parse().unwrap()
}

#[test]
fn figures_are_those_of_proc() {
    let child = Running::idle();
    let pid = child.pid();
    let samples = samples(&once(&["--pid", &pid]));
    let value = |family: &str| of_process(&samples, family, &pid, "");
    for (family, key) in [
        ("neap_process_resident_bytes", "VmRSS"),
        ("neap_process_resident_anonymous_bytes", "RssAnon"),
        ("neap_process_resident_file_bytes", "RssFile"),
        ("neap_process_resident_peak_bytes", "VmHWM"),
        ("neap_process_swap_bytes", "VmSwap"),
        ("neap_process_virtual_bytes", "VmSize"),
    ] {
        assert_same(value(family), child.bytes(key), family);
    }
    let faults = |kind| of_process(&samples, "neap_process_page_faults_total", &pid, kind);
    assert_same(faults("kind=\"minor\""), column(&pid, 10), "minor faults");
    assert_same(faults("kind=\"major\""), column(&pid, 12), "major faults");
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = |key: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
    };
    let unique = line("Private_Clean:") + line("Private_Dirty:");
    assert_same(value("neap_process_unique_bytes"), unique, "USS");
    let boot = std::fs::read_to_string("/proc/stat").unwrap();
    let boot: f64 = boot
        .lines()
        .find_map(|line| line.strip_prefix("btime "))
        .unwrap()
        .parse()
        .unwrap();
    let hertz = u32::try_from(neap_proc::read::Proc::default().ticks_per_second()).unwrap();
    let start = boot + column(&pid, 22) / f64::from(hertz);
    assert_same(value("neap_process_start_time_seconds"), start, "start");
    assert!(samples["neap_machine_memory_bytes"] > samples["neap_machine_available_bytes"]);
    assert!(
        !has(&samples, "neap_heap_held_bytes", &pid),
        "sleep does not run under libneap.so"
    );
}

#[test]
fn promtool_has_nothing_to_object_to() {
    let test = "promtool_has_nothing_to_object_to";
    let folder = folder();
    let Some(program) = compile(test, &folder, "hostile", HOSTILE, &[]) else {
        return;
    };
    let hostile = Running::start(&mut Command::new(program));
    wait_until("the program to name itself", || {
        hostile.status("Name").starts_with("a\"b")
    });
    let file = folder.path().join("neap.prom");
    let text = once(&["--all", "--limit", "65535"]);
    assert!(!text.contains('\x1b'), "a terminal would obey it");
    assert!(
        text.contains(&format!(
            "pid=\"{}\",name=\"a\\\"b\\\\c?[1{{}}=,\"",
            hostile.pid()
        )),
        "{text}"
    );
    std::fs::write(&file, text).unwrap();
    let check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::fs::File::open(&file).unwrap())
        .output();
    let Ok(check) = check else {
        return missing(test, "promtool is not installed (Debian: prometheus)");
    };
    assert!(
        check.status.success() && check.stderr.is_empty() && check.stdout.is_empty(),
        "{check:?}"
    );
}

#[test]
fn the_limit_keeps_the_largest_and_counts_the_rest() {
    let children = [Running::idle(), Running::idle(), Running::idle()];
    let pids = children.each_ref().map(Running::pid).join(",");
    let samples = samples(&once(&["--pid", &pids, "--limit", "2"]));
    let count = |state: &str| samples[&format!("neap_export_processes{{state=\"{state}\"}}")];
    assert_same(count("exported"), 2.0, "exported");
    assert_same(count("left_out"), 1.0, "left out");
    let shown = children
        .iter()
        .filter(|child| has(&samples, "neap_process_info", &child.pid()))
        .count();
    assert_eq!(shown, 2);
}

#[test]
fn a_file_is_replaced_in_one_step() {
    let folder = folder();
    let file = folder.path().join("neap.prom");
    std::fs::write(&file, "old").unwrap();
    let old = std::fs::File::open(&file).unwrap();
    let printed = once(&["--pid", "1", "--output", file.to_str().unwrap()]);
    assert_eq!(printed, "");
    assert_eq!(
        std::io::read_to_string(old).unwrap(),
        "old",
        "who reads the old file keeps it"
    );
    assert!(
        std::fs::read_to_string(&file)
            .unwrap()
            .contains("neap_machine_memory_bytes ")
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left over"
    );
    let nowhere = folder.path().join("none/neap.prom");
    let output = neap()
        .args(["export", "--once", "--output"])
        .arg(&nowhere)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(stderr(&output).contains("none/neap.prom"), "{output:?}");
}

#[test]
fn json_has_a_reason_for_each_null() {
    let child = Running::idle();
    let output = neap()
        .args(["export", "--once", "--json", "--pid", &child.pid()])
        .output()
        .unwrap();
    let report = json(&output);
    assert_eq!(report["schema"], "neap.export/1");
    assert_reasons_lead_to_nulls(&report);
    let process = &report["processes"][0];
    assert_same(
        process["resident_bytes"].as_f64().unwrap(),
        child.bytes("VmRSS"),
        "RSS",
    );
    assert!(process["heap"].is_null());
    assert_eq!(
        report["not_available"]["processes[0].heap"],
        "the process does not use libneap.so"
    );
}

/// `neap export --once` of a process as nobody, with more options of setpriv(1). `None` skips the test that called.
fn as_nobody(test: &str, folder: &TempDir, rights: &[&str], pid: &str) -> Option<HashMap<String, f64>> {
    if !rustix::process::geteuid().is_root() {
        skip(test, "only root can become another user");
        return None;
    }
    // The folder of the tests may be closed to others.
    let copy = folder.path().join("neap");
    std::fs::copy(env!("CARGO_BIN_EXE_neap"), &copy).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(rights)
        .arg(&copy)
        .args(["export", "--once", "--pid", pid])
        .output();
    let Ok(output) = output else {
        missing(test, "setpriv is not installed (Debian: util-linux)");
        return None;
    };
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    Some(samples(&String::from_utf8(output.stdout).unwrap()))
}

/// How many processes were denied: of smaps_rollup, heaps, status.
fn denied(samples: &HashMap<String, f64>) -> [f64; 3] {
    let source =
        |source| samples[&format!("neap_process_unreadable{{source=\"{source}\",reason=\"denied\"}}")];
    ["smaps_rollup", "heap", "status"].map(source)
}

#[test]
fn an_unprivileged_user_sees_what_is_denied_counted_and_no_zero() {
    let test = "an_unprivileged_user_sees_what_is_denied_counted_and_no_zero";
    let (child, folder) = (Running::idle(), folder());
    let pid = child.pid();
    let Some(samples) = as_nobody(test, &folder, &[], &pid) else {
        return;
    };
    assert_eq!(
        denied(&samples).map(f64::to_bits),
        [1.0, 1.0, 0.0].map(f64::to_bits)
    );
    assert_same(
        of_process(&samples, "neap_process_resident_bytes", &pid, ""),
        child.bytes("VmRSS"),
        "RSS",
    );
    for family in [
        "neap_process_proportional_bytes",
        "neap_process_unique_bytes",
        "neap_process_shares_age_seconds",
        "neap_heap_held_bytes",
    ] {
        assert!(!has(&samples, family, &pid), "{family}");
    }
}

/// AmbientCapabilities=CAP_SYS_PTRACE of systemd/neap-export.service.
#[test]
fn the_one_right_of_the_service_is_enough() {
    let test = "the_one_right_of_the_service_is_enough";
    let Some(library) = library_and_rights(test) else {
        return;
    };
    let folder = folder();
    let source =
        "#include <stdlib.h>\n#include <unistd.h>\nint main(void) { return !malloc(100000) || pause(); }\n";
    let Some(program) = compile(test, &folder, "holder", source, &["-O0"]) else {
        return;
    };
    let holder = Running::start(Command::new(program).env("LD_PRELOAD", &library));
    wait_until("the program to sleep", || holder.status("State").starts_with('S'));
    let pid = holder.pid();
    let rights = [
        "--inh-caps=+sys_ptrace",
        "--ambient-caps=+sys_ptrace",
        "--bounding-set=-all,+sys_ptrace",
    ];
    let Some(samples) = as_nobody(test, &folder, &rights, &pid) else {
        return;
    };
    assert_eq!(denied(&samples).map(f64::to_bits), [0.0; 3].map(f64::to_bits));
    for family in [
        "neap_process_unique_bytes",
        "neap_heap_held_bytes",
        "neap_heap_records_bytes",
    ] {
        assert!(of_process(&samples, family, &pid, "") > 0.0, "{family}");
    }
}

#[test]
fn heaps_of_libneap_are_found_and_told() {
    let test = "heaps_of_libneap_are_found_and_told";
    let Some(library) = library_and_rights(test) else {
        return;
    };
    let folder = folder();
    // 1000 blocks of 1000 bytes stay; a burst of 64 MiB comes and goes.
    let source = BURST
        .replace(
            "int main(void) {",
            "int main(void) { for (int i = 0; i < 1000; i++) ((char **)malloc(1000))[0] = 0;",
        )
        .replace("usleep(1500000);", "pause();");
    let Some(program) = compile(test, &folder, "burst", &source, &["-O0"]) else {
        return;
    };
    let burst = Running::start(Command::new(program).env("LD_PRELOAD", &library));
    let pid = burst.pid();
    let read = || samples(&once(&["--classes", "--under-libneap", "--pid", &pid]));
    wait_until("the burst to be given back and the rest to be counted", || {
        let samples = read();
        has(&samples, "neap_heap_live_bytes", &pid)
            && of_process(&samples, "neap_heap_given_back_bytes_total", &pid, "") >= f64::from(60 << 20)
            && of_process(&samples, "neap_heap_live_bytes", &pid, "") < f64::from(4 << 20)
    });
    let samples = read();
    let value = |family: &str| of_process(&samples, family, &pid, "");
    assert!(value("neap_heap_live_bytes") >= 1000.0 * 1000.0);
    assert!(value("neap_heap_held_peak_bytes") >= f64::from(60 << 20));
    assert!(value("neap_heap_live_peak_bytes") >= value("neap_heap_live_bytes"));
    assert!(value("neap_heap_held_bytes") >= value("neap_heap_live_bytes"));
    assert!(value("neap_heap_records_bytes") > 0.0 && value("neap_heap_helper_starts_total") >= 1.0);
    let call = |family: &str| of_process(&samples, family, &pid, "call=\"madvise\"");
    assert!(call("neap_heap_memory_calls_total") >= 1.0);
    assert!(call("neap_heap_memory_call_bytes_total") >= f64::from(60 << 20));
    assert_same(call("neap_heap_memory_call_failures_total"), 0.0, "failures");
    let classes = samples
        .iter()
        .filter(|(series, _)| series.starts_with("neap_heap_class_live_blocks"));
    let thousands: f64 = classes
        .filter(|(series, _)| series.contains("block_bytes=\"1024\""))
        .map(|(_, count)| *count)
        .sum();
    assert!(thousands >= 1000.0, "{thousands} blocks of 1024 bytes");
    let others = samples
        .keys()
        .filter(|series| series.starts_with("neap_process_info"))
        .count();
    assert_eq!(others, 1);
}

#[test]
fn no_process_is_said_and_wrong_calls_are_refused() {
    let output = neap()
        .args(["export", "--once", "--pid", "4194304"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stderr(&output).contains("no process is exported: none matches"),
        "{output:?}"
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("neap_machine_memory_bytes "));
    for (arguments, word) in [
        (&["--all", "--pid", "1"][..], "cannot be used with"),
        (&["--output", "x"], "--once"),
        (&["--listen", ":6327"], "0.0.0.0:6327"),
        (&["--user", "nobody-by-this-name"], "no user"),
        (&["--name", "/(/"], "regular expression"),
    ] {
        let output = neap().arg("export").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            stderr(&output).contains(word),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let mut child = neap()
        .args(["export", "--once", "--all"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}
