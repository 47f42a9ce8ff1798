//! `neap lab`: what it lists, what its records say, and that no experiment differs, as any user.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::support::{folder, json, library, neap, skip, stderr};

/// Runs anywhere, in a moment, and changes nothing of the system.
const QUICK: &str = "munmap-40-of-20-bytes";

fn lab(arguments: &[&str]) -> Output {
    neap().arg("lab").args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Adds the library if it is built: without it experiments about malloc cannot run under both.
fn with_library(command: &mut Command) -> &mut Command {
    match library("experiments under libneap.so") {
        Some(library) => command.arg("--lib").arg(library),
        None => command,
    }
}

#[test]
fn the_list_has_every_experiment_under_its_chapter() {
    let list = lab(&[]);
    assert_eq!(list.status.code(), Some(0));
    let list = text(&list);
    for heading in [
        "The program break (brk)",
        "munmap and mremap (munmap)",
        "Giving back (giving-back)",
    ] {
        assert!(list.contains(heading), "{heading} is missing in: {list}");
    }
    assert!(
        list.contains(QUICK) && list.contains("neap lab NAME runs one"),
        "{list}"
    );
}

#[test]
fn an_unknown_name_is_a_wrong_call_and_like_names_are_told() {
    for wrong in ["brk-129", "brk128"] {
        let output = lab(&[wrong]);
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        let told = said.contains(&format!("no experiment {wrong}")) && said.contains("like it: brk-128");
        assert!(told, "{said}");
    }
    assert_eq!(lab(&["--chapter", "nothing"]).status.code(), Some(2));
    let output = lab(&["--json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--all"), "{}", stderr(&output));
}

#[test]
fn one_experiment_is_told_in_full() {
    let output = lab(&[QUICK]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = text(&output);
    for part in [
        "question    What happens when 40 bytes are unmapped",
        "method",
        "expected",
        "What was seen",
        "statm resident",
        "minor faults",
        "VmFlags: rd wr mr mw me",
        "ok   kB that went: 4",
        "not shown",
        "source",
        "The same by hand in C",
        "The same by hand in Rust",
        "\nconfirmed\n",
    ] {
        assert!(said.contains(part), "`{part}` is missing in: {said}");
    }
    assert!(!said.contains('\x1b'), "{said}");
}

#[test]
fn the_address_space_is_drawn_in_the_same_columns_before_and_after() {
    for locale in ["C.UTF-8", "C"] {
        let output = neap()
            .args(["lab", QUICK])
            .env("LC_ALL", locale)
            .output()
            .unwrap();
        let said = text(&output);
        let drawn: Vec<&str> = said
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("space   "))
            .collect();
        assert_eq!(drawn.len(), 3, "{said}");
        let hole = if locale == "C" { '.' } else { '\u{b7}' };
        for space in &drawn {
            assert_eq!(space.chars().count(), drawn[0].chars().count(), "{said}");
            for letter in ['P', 'L', 'S', 'k', hole] {
                assert!(space.contains(letter), "{letter}: {said}");
            }
        }
        assert_ne!(drawn[0], drawn[1], "a page went: {said}");
        if locale == "C" {
            let own = said.split("The same by hand").next().unwrap_or_default();
            assert!(own.is_ascii(), "{said}");
        }
    }
}

#[test]
fn a_record_has_its_schema_and_what_was_seen() {
    let output = lab(&[QUICK, "--json"]);
    assert_eq!(stderr(&output), "");
    let record = json(&output);
    assert_eq!(record["schema"], "neap.lab/1");
    assert!(
        record["circumstances"]["kernel"]
            .as_str()
            .unwrap()
            .starts_with("Linux ")
    );
    let trial = &record["trials"][0];
    assert_eq!(
        (&trial["name"], &trial["verdict"]["is"]),
        (&QUICK.into(), &"confirmed".into())
    );
    let events = trial["runs"][0]["events"].as_array().unwrap();
    let looks: Vec<&Value> = events.iter().filter(|event| event["event"] == "look").collect();
    assert_eq!(looks.len(), 3, "{events:#?}");
    for look in looks {
        let kinds: Vec<&str> = look["space"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["kind"].as_str().unwrap())
            .collect();
        assert!(
            kinds.contains(&"program") && kinds.contains(&"stack"),
            "{kinds:?}"
        );
        assert!(look["statm_pages"]["resident"].as_u64().unwrap() > 0);
        assert!(look["system_kb"]["available"].as_u64().unwrap() > 0);
    }
    assert!(
        events
            .iter()
            .any(|event| event["event"] == "check" && event["holds"] == true)
    );
}

/// Some experiments look at figures of the whole system, which a second run beside them would move.
static ALL_AT_ONCE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALL_AT_ONCE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Each trial that differs, with how; and how many were confirmed.
fn judged(record: &Value) -> (Vec<String>, usize) {
    let trials = record["trials"].as_array().unwrap();
    let named = |trial: &Value| format!("{}: {}", trial["name"], trial["verdict"]);
    let is = |trial: &&Value, word: &str| trial["verdict"]["is"] == word;
    for trial in trials.iter().filter(|trial| is(trial, "cannot_run")) {
        let said = |field: &str| trial["verdict"][field].as_str().unwrap_or_default().len();
        assert!(said("why") > 5 && said("mend") > 5, "{}", named(trial));
    }
    let differing = trials
        .iter()
        .filter(|trial| is(trial, "differs"))
        .map(named)
        .collect();
    let confirmed = trials.iter().filter(|trial| is(trial, "confirmed")).count();
    (differing, confirmed)
}

#[test]
fn no_experiment_differs() {
    let _alone = alone();
    let output = with_library(neap().args(["lab", "--all", "--json"]))
        .output()
        .unwrap();
    let (differing, confirmed) = judged(&json(&output));
    assert!(differing.is_empty(), "{differing:#?}");
    assert!(confirmed > 20, "{confirmed}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn no_experiment_differs_as_an_unprivileged_user() {
    let test = "no_experiment_differs_as_an_unprivileged_user";
    if !rustix::process::geteuid().is_root() {
        skip(
            test,
            "only root can become another user; the other tests ran as one",
        );
        return;
    }
    let folder = folder();
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    open(folder.path());
    let program = folder.path().join("neap");
    fs::copy(env!("CARGO_BIN_EXE_neap"), &program).unwrap();
    open(&program);
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["lab", "--all", "--json"])
        .current_dir("/")
        .env_remove("LD_PRELOAD")
        .env_remove("NEAP_LIB");
    if let Some(library) = library(test) {
        let copy = folder.path().join("libneap.so");
        fs::copy(library, &copy).unwrap();
        open(&copy);
        command.arg("--lib").arg(copy);
    }
    let _alone = alone();
    let output = command.output().unwrap();
    let record = json(&output);
    assert_eq!(record["circumstances"]["is_root"], false);
    let (differing, confirmed) = judged(&record);
    assert!(differing.is_empty(), "{differing:#?}");
    assert!(confirmed > 20, "{confirmed}");
}

#[test]
fn a_record_is_like_itself_and_unlike_an_edited_one() {
    let folder = folder();
    let (first, second) = (folder.path().join("a.json"), folder.path().join("b.json"));
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    lab(&["--chapter", "munmap", "--json", "-o", &path(&first)]);
    let same = lab(&["diff", &path(&first), &path(&first)]);
    assert_eq!(same.status.code(), Some(0), "{}", stderr(&same));
    assert!(text(&same).contains("\n0 differences; "), "{}", text(&same));
    let differences = json(&lab(&["diff", &path(&first), &path(&first), "--json"]));
    assert_eq!(differences["schema"], "neap.lab-diff/1");
    assert_eq!(
        (&differences["differences"], &differences["alike"]),
        (&Value::Array(vec![]), &differences["in_both"])
    );
    let mut record: Value = serde_json::from_slice(&fs::read(&first).unwrap()).unwrap();
    let events = record["trials"][0]["runs"][0]["events"].as_array_mut().unwrap();
    let check = events.iter_mut().find(|event| event["event"] == "check").unwrap();
    check["holds"] = false.into();
    check["found"] = "ENOSYS".into();
    record["trials"][0]["verdict"] = serde_json::json!({"is": "differs", "how": ["edited"]});
    fs::write(&second, record.to_string()).unwrap();
    let other = lab(&["diff", &path(&first), &path(&second)]);
    assert_eq!(other.status.code(), Some(1), "{}", stderr(&other));
    let said = text(&other);
    assert!(
        said.contains("confirmed -> differs")
            && said.contains("\n1 differences; ")
            && said.contains("ENOSYS"),
        "{said}"
    );
    fs::write(&second, "{}").unwrap();
    let output = lab(&["diff", &path(&first), &path(&second)]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("neap lab --all --json -o FILE"),
        "{}",
        stderr(&output)
    );
}
