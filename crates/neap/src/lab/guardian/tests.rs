//! The keeper of settings, on a folder with files as the kernel has them.

use std::fs;

use tempfile::TempDir;

use super::Keeper;
use crate::lab::setting::Root;

const RATIO: &str = "proc/sys/vm/overcommit_ratio";
const HUGE: &str = "sys/kernel/mm/transparent_hugepage/enabled";

fn system() -> TempDir {
    let folder = tempfile::Builder::new().prefix("neap-test-").tempdir().unwrap();
    for (file, text) in [(RATIO, "50\n"), (HUGE, "always [madvise] never\n")] {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn keeper(folder: &TempDir) -> Keeper {
    Keeper::new(Root::at(folder.path()), &folder.path().join("journal"))
}

fn text(folder: &TempDir, file: &str) -> String {
    fs::read_to_string(folder.path().join(file))
        .unwrap()
        .trim()
        .to_owned()
}

fn has_journal(folder: &TempDir) -> bool {
    folder.path().join("journal").exists()
}

#[test]
fn what_was_changed_is_restored_to_the_oldest_value() {
    let folder = system();
    let mut keeper = keeper(&folder);
    assert_eq!(keeper.set("vm.overcommit_ratio 80").unwrap(), "50");
    assert_eq!(keeper.set("vm.overcommit_ratio 90").unwrap(), "80");
    assert_eq!(
        keeper.set("transparent_hugepage-enabled never").unwrap(),
        "madvise"
    );
    assert!(has_journal(&folder));
    assert_eq!(
        (text(&folder, RATIO), text(&folder, HUGE)),
        ("90".into(), "never".into())
    );
    keeper.restore().unwrap();
    assert_eq!(
        (text(&folder, RATIO), text(&folder, HUGE)),
        ("50".into(), "madvise".into())
    );
    assert!(!has_journal(&folder));
}

#[test]
fn what_a_killed_guardian_has_left_is_restored_by_the_next() {
    let folder = system();
    let mut first = keeper(&folder);
    first.set("vm.overcommit_ratio 80").unwrap();
    first.set("vm.overcommit_ratio 90").unwrap();
    // As a kill does: the lock goes, the journal stays.
    drop(first);
    assert_eq!(text(&folder, RATIO), "90");
    let mut second = keeper(&folder);
    second.take_over().unwrap();
    second.restore().unwrap();
    assert_eq!(text(&folder, RATIO), "50");
    assert!(!has_journal(&folder));
}

#[test]
fn a_living_guardians_changes_are_left_alone() {
    let folder = system();
    let mut first = keeper(&folder);
    first.set("vm.overcommit_ratio 80").unwrap();
    let mut second = keeper(&folder);
    assert!(second.take_over().is_err());
    let refusal = second.set("vm.overcommit_ratio 70").unwrap_err().to_string();
    assert!(refusal.contains("another neap lab"), "{refusal}");
    second.restore().unwrap();
    assert_eq!(text(&folder, RATIO), "80");
    assert!(has_journal(&folder));
    first.restore().unwrap();
    assert_eq!(second.set("vm.overcommit_ratio 70").unwrap(), "50");
}

#[test]
fn a_change_that_fails_leaves_nothing_to_restore() {
    let folder = system();
    let mut keeper = keeper(&folder);
    assert!(keeper.set("vm.max_map_count 1").is_err(), "the file is not there");
    assert!(keeper.set("vm.nothing 1").is_err());
    assert!(keeper.set("vm.overcommit_ratio").is_err());
    assert!(!has_journal(&folder));
    keeper.restore().unwrap();
    assert_eq!(text(&folder, RATIO), "50");
}

#[test]
fn what_cannot_be_restored_is_said_and_stays_in_the_journal() {
    let folder = system();
    let mut keeper = keeper(&folder);
    keeper.set("transparent_hugepage-enabled never").unwrap();
    keeper.set("vm.overcommit_ratio 80").unwrap();
    fs::remove_dir_all(folder.path().join("proc")).unwrap();
    let error = keeper.restore().unwrap_err().to_string();
    assert!(
        error.contains("vm.overcommit_ratio could not be made 50 again"),
        "{error}"
    );
    assert_eq!(text(&folder, HUGE), "madvise");
    assert_eq!(text(&folder, "journal"), "vm.overcommit_ratio\t50\t80");
    fs::create_dir_all(folder.path().join(RATIO).parent().unwrap()).unwrap();
    keeper.restore().unwrap();
    assert_eq!(text(&folder, RATIO), "50");
    assert!(!has_journal(&folder));
}
