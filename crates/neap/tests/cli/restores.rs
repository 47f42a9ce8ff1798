//! What `neap lab --allow-system` has changed is as before, however it ends. These tests change settings of
//! the machine for a second or two: only as root, and only with NEAP_TEST_SYSTEM=1.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::support::{is_running, neap, skip, stderr, wait_until};

/// Changes three settings and works for a while with them.
const CHANGES: &str = "ksm-merges-equal-pages";
const KSM: &str = "/sys/kernel/mm/ksm";
const JOURNAL: &str = "/run/neap-lab.restore";

/// The settings are the machine's: one test at a time.
static MACHINE: Mutex<()> = Mutex::new(());

/// `None` skips the test that called.
fn machine(test: &str) -> Option<MutexGuard<'static, ()>> {
    if std::env::var_os("NEAP_TEST_SYSTEM").is_none_or(|all| all != "1") {
        skip(
            test,
            "it changes settings of the system: NEAP_TEST_SYSTEM=1 as root allows that",
        );
        return None;
    }
    if !rustix::process::geteuid().is_root() || fs::metadata(KSM).is_err() {
        skip(test, "it needs root and KSM");
        return None;
    }
    Some(MACHINE.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// The settings that the experiment changes.
fn settings() -> [String; 3] {
    ["run", "pages_to_scan", "sleep_millisecs"]
        .map(|file| fs::read_to_string(format!("{KSM}/{file}")).unwrap())
}

/// Starts the experiment, in a group of its own, and waits until the last setting is changed.
fn started() -> (Child, [String; 3]) {
    assert!(
        fs::metadata(JOURNAL).is_err(),
        "an earlier run's settings wait to be restored"
    );
    let before = settings();
    assert_ne!(before[0].trim(), "1", "KSM runs here anyway");
    let mut child = neap()
        .args(["lab", CHANGES, "--allow-system"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    wait_until("the experiment to change settings", || {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it has ended before it changed anything"
        );
        settings()[0].trim() == "1"
    });
    assert!(fs::metadata(JOURNAL).is_ok(), "what is changed is in the journal");
    (child, before)
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// The child process of `parent` whose arguments have `word`.
fn child_with(parent: &Child, word: &str) -> Pid {
    let children = format!("/proc/{0}/task/{0}/children", parent.id());
    // Threads of neap may have started it, too.
    let tasks = fs::read_dir(format!("/proc/{}/task", parent.id())).unwrap();
    let all: String = tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok())
        .chain(fs::read_to_string(children))
        .collect::<Vec<_>>()
        .join(" ");
    let found = all.split_whitespace().find(|child| {
        fs::read_to_string(format!("/proc/{child}/cmdline"))
            .is_ok_and(|line| line.split('\0').any(|w| w == word))
    });
    Pid::from_raw(
        found
            .unwrap_or_else(|| panic!("no {word} among {all}"))
            .parse()
            .unwrap(),
    )
    .unwrap()
}

fn assert_restored(before: &[String; 3]) {
    wait_until("the settings to be as before", || {
        settings() == *before && fs::metadata(JOURNAL).is_err()
    });
}

#[test]
fn a_killed_run_leaves_no_setting_changed_and_no_experiment_running() {
    let test = "a_killed_run_leaves_no_setting_changed_and_no_experiment_running";
    let Some(_machine) = machine(test) else { return };
    let (mut child, before) = started();
    let experiment = child_with(&child, "--perform").to_string();
    kill_process(pid(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    assert_restored(&before);
    wait_until("the experiment to end", || !is_running(&experiment));
}

#[test]
fn an_interrupted_run_leaves_no_setting_changed() {
    let Some(_machine) = machine("an_interrupted_run_leaves_no_setting_changed") else {
        return;
    };
    // On a busy machine the experiment may be over before the signal comes: then it is tried again.
    let interrupted = (0..10).any(|_| {
        let (mut child, before) = started();
        kill_process_group(pid(&child), Signal::INT).unwrap();
        let ended_well = child.wait().unwrap().success();
        assert_restored(&before);
        !ended_well
    });
    assert!(interrupted, "a run that was interrupted says that all is well");
}

#[test]
fn the_guardian_outlives_what_ends_a_service() {
    let Some(_machine) = machine("the_guardian_outlives_what_ends_a_service") else {
        return;
    };
    let (mut child, before) = started();
    kill_process(child_with(&child, "--guard"), Signal::TERM).unwrap();
    kill_process(pid(&child), Signal::TERM).unwrap();
    child.wait().unwrap();
    assert_restored(&before);
}

#[test]
fn what_a_killed_guardian_left_is_restored_by_the_next_run() {
    let Some(_machine) = machine("what_a_killed_guardian_left_is_restored_by_the_next_run") else {
        return;
    };
    let (mut child, before) = started();
    kill_process(child_with(&child, "--guard"), Signal::KILL).unwrap();
    kill_process(pid(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    assert_eq!(settings()[0].trim(), "1", "nobody is left to restore");
    let output = neap().args(["lab", "munmap-40-of-20-bytes"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(settings(), before);
    assert!(fs::metadata(JOURNAL).is_err());
    assert!(
        stderr(&output).contains("ksm-run was left at 1"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_guardian_that_was_killed_makes_the_run_differ() {
    let Some(_machine) = machine("a_guardian_that_was_killed_makes_the_run_differ") else {
        return;
    };
    let (mut child, before) = started();
    kill_process(child_with(&child, "--guard"), Signal::KILL).unwrap();
    assert_eq!(
        child.wait().unwrap().code(),
        Some(1),
        "it cannot say that all is restored"
    );
    neap().args(["lab", "munmap-40-of-20-bytes"]).output().unwrap();
    assert_restored(&before);
}
