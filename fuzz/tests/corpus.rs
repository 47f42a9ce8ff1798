//! Replays the corpus: every input that once showed something new still passes, and so does every recorded
//! file of `/proc`, whichever parser is given it.

use std::fs;
use std::path::{Path, PathBuf};

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every file under a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a folder that can be read").path())
        .collect();
    paths.sort();
    let inside = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    paths.into_iter().flat_map(inside).collect()
}

/// Runs a target over a file. The names come before the panic that an input may end in.
fn replay((name, run): neap_fuzz::Target, file: &Path) {
    println!("{name} {}", file.display());
    run(&fs::read(file).expect("a file that can be read"));
}

#[test]
fn every_input_kept_by_the_fuzzer_passes() {
    for target in neap_fuzz::TARGETS {
        let kept = files(&folder("corpus").join(target.0));
        assert!(!kept.is_empty(), "corpus/{}: no inputs", target.0);
        kept.iter().for_each(|file| replay(target, file));
    }
}

#[test]
fn every_folder_of_the_corpus_is_a_targets() {
    for entry in fs::read_dir(folder("corpus")).expect("the corpus") {
        let name = entry.expect("a folder").file_name();
        let is_target = neap_fuzz::TARGETS.iter().any(|target| name == target.0);
        assert!(is_target, "corpus/{} is no target's", name.display());
    }
}

#[test]
fn every_parser_copes_with_every_recorded_file() {
    let recorded = files(&folder("../crates/proc/tests/fixtures"));
    assert!(recorded.len() > 100);
    for target in neap_fuzz::proc::TARGETS {
        recorded.iter().for_each(|file| replay(target, file));
    }
}
