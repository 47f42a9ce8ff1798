//! Replays the corpus: every input that once showed something new still passes.

use std::fs;
use std::path::Path;

/// Each target over each file of its folder, and the folder is not empty.
#[test]
fn every_input_kept_by_the_fuzzer_passes() {
    for (name, run) in neap_fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut files: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
            .map(|entry| entry.expect("a folder that can be read").path())
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{}: no inputs", folder.display());
        for file in files {
            // The name comes before the panic that an input may end in.
            println!("{}", file.display());
            run(&fs::read(&file).expect("a file that can be read"));
        }
    }
}
