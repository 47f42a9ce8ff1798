//! What is made for packages: manual pages, completions, help.

use crate::support::{folder, neap};

#[test]
fn every_verb_has_help_with_examples() {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["run", "--help"],
        &["run", "-h"],
        &["compare", "--help"],
        &["compare", "-h"],
        &["doctor", "--help"],
        &["doctor", "-h"],
        &["export", "--help"],
        &["export", "-h"],
        &["maps", "--help"],
        &["maps", "-h"],
        &["snap", "--help"],
        &["diff", "--help"],
        &["completions", "--help"],
        &["man", "--help"],
    ] {
        let output = neap().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("Examples:\n"), "{arguments:?}: {text}");
    }
    let output = neap().args(["run", "--help"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["Exit codes:", "127", "126", "125", "--max-rss", "The verdict:"] {
        assert!(text.contains(part), "{part}");
    }
}

#[test]
fn the_version_is_the_packages() {
    let output = neap().arg("--version").output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("neap {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn manual_pages_are_written() {
    let folder = folder();
    let out = folder.path().join("man");
    assert!(
        neap()
            .args(["man", "--out"])
            .arg(&out)
            .status()
            .unwrap()
            .success()
    );
    for (page, part) in [
        ("neap.1", "neap\\-run(1)"),
        ("neap.1", "neap\\-compare(1)"),
        ("neap.1", "neap\\-doctor(1)"),
        ("neap-run.1", "max\\-rss"),
        ("neap-compare.1", "NAME=LIB.so"),
        ("neap-doctor.1", "neap.doctor/1"),
        ("neap.1", "neap\\-export(1)"),
        ("neap-export.1", "neap.export/1"),
        ("neap-export.1", "pss\\-budget"),
        ("neap-maps.1", "neap.maps/1"),
        ("neap-snap.1", "pages"),
        ("neap-diff.1", "neap.diff/1"),
    ] {
        let text = std::fs::read_to_string(out.join(page)).unwrap();
        assert!(text.contains(part), "{page}: {text}");
    }
    let output = neap().arg("man").output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains(".TH neap 1"));
}

#[test]
fn completions_are_written_for_three_shells() {
    let folder = folder();
    assert!(
        neap()
            .args(["completions", "--out"])
            .arg(folder.path())
            .status()
            .unwrap()
            .success()
    );
    for file in ["neap.bash", "_neap", "neap.fish"] {
        assert!(
            std::fs::read_to_string(folder.path().join(file))
                .unwrap()
                .contains("max-rss"),
            "{file}"
        );
    }
    let output = neap().args(["completions", "bash"]).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("_neap()"));
}
