//! `cargo xtask bench attack`: who stops a program that breaks its heap.
//!
//! Owns the list of attacks, the extra modes of rivals that have checks to turn on, and the verdict on one
//! run. The attacks themselves are the program that the tests of libneap.so run (`crates/preload/tests/c`):
//! one process for each attack, variant and allocator, the same variants for everybody.

pub(crate) mod verb;

use crate::peers::Allocator;
use serde::Serialize;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

const SOURCE: &str = include_str!("../../../crates/preload/tests/c/attack.cpp");
const HEADER: &str = include_str!("../../../crates/preload/tests/c/check.h");

/// The attacks, as the program names them, and what each does.
pub(crate) const ATTACKS: [(&str, &str); 35] = [
    ("double_free_near", "free twice, at most one other free between"),
    ("double_free_far", "free twice, 20 to 3000 other frees between"),
    ("double_free_large", "free twice, a block of 9 KB to 900 KB"),
    (
        "double_free_reused",
        "free twice, 300 blocks of that size allocated between",
    ),
    (
        "double_free_thread",
        "free twice, the second time in another thread",
    ),
    ("free_stack", "free of a local variable"),
    ("free_static", "free of a global variable"),
    ("free_mapping", "free of memory from mmap"),
    ("free_break", "free of memory from sbrk"),
    ("interior_aligned", "free of a 16-byte boundary inside a block"),
    ("interior_odd", "free of an odd address inside a block"),
    (
        "interior_large",
        "free of a 16-byte boundary inside a large block",
    ),
    ("write_after_free", "a freed block written all over"),
    ("write_after_free_byte", "one byte of a freed block written"),
    ("write_after_free_later", "the same after 3000 other calls"),
    (
        "write_after_free_large",
        "a word of a freed block of 9 KB to 900 KB written",
    ),
    ("overflow_one", "one byte behind a block written"),
    ("overflow_word", "the word behind a block written"),
    ("overflow_many", "30 to 330 bytes behind a block written"),
    ("overflow_next", "16 bytes written 40 behind a block's end"),
    ("overflow_page", "up to 16 bytes behind a large block written"),
    ("underflow_one", "one byte in front of a block written"),
    ("underflow_word", "the word in front of a block written"),
    ("underflow_many", "32 bytes written 32 to 96 in front of a block"),
    ("smashed_list", "the first word of 64 freed blocks written"),
    ("realloc_freed", "realloc of a freed block"),
    ("usable_freed", "malloc_usable_size of a freed block"),
    ("sized_free", "free_sized with another size"),
    ("aligned_free_size", "free_aligned_sized with another size"),
    (
        "aligned_free_alignment",
        "free_aligned_sized with another alignment",
    ),
    ("sized_delete", "sized delete with another size"),
    (
        "aligned_delete",
        "aligned delete with an alignment the block has not got",
    ),
    ("new_and_free", "free of what new returned"),
    ("malloc_and_delete", "delete of what malloc returned"),
    ("new_array_and_delete", "delete of what new[] returned"),
];

/// What came of one run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    /// Stopped with a message.
    Detected,
    /// Ended by a signal and without a word.
    Crashed,
    /// Ran until an alarm ended it.
    Hung,
    /// Ran to its end.
    Silent,
    /// There is no such function under this allocator.
    Absent,
}

/// How the variants of one attack ended under one allocator.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Rates {
    pub(crate) detected: usize,
    pub(crate) crashed: usize,
    pub(crate) hung: usize,
    pub(crate) silent: usize,
    pub(crate) absent: usize,
}

impl Rates {
    fn add(&mut self, ending: Ending) {
        let count = match ending {
            Ending::Detected => &mut self.detected,
            Ending::Crashed => &mut self.crashed,
            Ending::Hung => &mut self.hung,
            Ending::Silent => &mut self.silent,
            Ending::Absent => &mut self.absent,
        };
        *count += 1;
    }

    /// `40` detected of forty, `12 +3c` with three crashes besides, `-` if it could not be tried.
    pub(crate) fn cell(&self) -> String {
        if self.detected + self.crashed + self.hung + self.silent == 0 {
            return "-".to_owned();
        }
        let mut text = self.detected.to_string();
        for (count, mark) in [(self.crashed, 'c'), (self.hung, 'h')] {
            if count != 0 {
                text += &format!(" +{count}{mark}");
            }
        }
        text
    }
}

/// The program has set itself an alarm and a limit of processor time, for when it hangs.
fn ending(status: ExitStatus, said: &[u8]) -> Ending {
    const SIGALRM: i32 = 14;
    const SIGXCPU: i32 = 24;
    const SIGKILL: i32 = 9;
    const ABSENT: i32 = 77;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ending::Silent,
        (Some(ABSENT), _) => Ending::Absent,
        (_, Some(SIGALRM | SIGXCPU | SIGKILL)) => Ending::Hung,
        _ if said.iter().any(|b| !b.is_ascii_whitespace()) => Ending::Detected,
        _ => Ending::Crashed,
    }
}

/// Everybody, with the modes that check in front. Neap that keeps its memory checks as neap does.
pub(crate) fn defenders(all: &[Allocator]) -> Vec<Allocator> {
    let mut defenders = Vec::new();
    if let Some(neap) = all.iter().find(|a| a.name == "neap") {
        defenders.push(Allocator {
            name: "neap-check".to_owned(),
            env: vec![("NEAP_CHECK".to_owned(), "1".to_owned())],
            ..neap.clone()
        });
    }
    let debugging = [
        ("tcmalloc-debug", "libtcmalloc_minimal_debug.so.4", None),
        (
            "glibc-check",
            "libc_malloc_debug.so.0",
            Some(("MALLOC_CHECK_", "3")),
        ),
    ];
    for (name, file, variable) in debugging {
        if let Some(library) = crate::peers::debian_library(file) {
            defenders.push(Allocator {
                name: name.to_owned(),
                library: Some(library),
                env: variable
                    .map(|(n, v)| (n.to_owned(), v.to_owned()))
                    .into_iter()
                    .collect(),
                version: file.to_owned(),
            });
        }
    }
    let others = ["neap-noebb", "tcmalloc-full", "jemalloc-deb"];
    defenders.extend(all.iter().filter(|a| !others.contains(&a.name.as_str())).cloned());
    defenders
}

/// The compiled program of attacks.
pub(crate) struct Program(PathBuf);

impl Program {
    pub(crate) fn compile(directory: &Path) -> Result<Program, String> {
        fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        for (name, text) in [("attack.cpp", SOURCE), ("check.h", HEADER)] {
            let path = directory.join(name);
            fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
        let output = Command::new(&compiler)
            .current_dir(directory)
            .args(["-std=c++17", "-O1", "-fno-builtin", "-pthread", "-w"])
            .args(["-o", "attack", "attack.cpp"])
            .output()
            .map_err(|e| format!("{}: {e}", Path::new(&compiler).display()))?;
        if !output.status.success() {
            return Err(format!("attack.cpp: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(Program(directory.join("attack")))
    }

    fn run(&self, attack: &str, variant: usize, under: &Allocator) -> Result<Ending, String> {
        let output = Command::new(&self.0)
            .args([attack, &variant.to_string()])
            .env_remove("LD_PRELOAD")
            .envs(under.environment())
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("{}: {e}", self.0.display()))?;
        Ok(ending(output.status, &output.stderr))
    }

    /// All variants of one attack under one allocator.
    pub(crate) fn rates(&self, attack: &str, variants: usize, under: &Allocator) -> Result<Rates, String> {
        let mut rates = Rates::default();
        for variant in 1..=variants {
            rates.add(self.run(attack, variant, under)?);
        }
        Ok(rates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_is_detected_only_with_a_message() {
        let of = |raw: i32, said: &str| ending(ExitStatus::from_raw(raw), said.as_bytes());
        assert_eq!(of(6, "neap: double free\n"), Ending::Detected);
        assert_eq!(of(1 << 8, "abort\n"), Ending::Detected);
        assert_eq!(of(11, "\n"), Ending::Crashed);
        assert_eq!(of(14, "said before"), Ending::Hung);
        assert_eq!(of(0, "a warning"), Ending::Silent);
        assert_eq!(of(77 << 8, ""), Ending::Absent);
    }

    #[test]
    fn the_program_knows_every_attack() {
        for (attack, _) in ATTACKS {
            let known = SOURCE.contains(&format!("\"{attack}\""))
                || ["free_", "new_", "malloc_", "aligned_delete"]
                    .iter()
                    .any(|p| attack.starts_with(p));
            assert!(known, "attack.cpp has {attack}");
        }
    }

    #[test]
    fn a_cell_tells_what_was_not_detected_and_yet_not_silent() {
        let rates = |detected, crashed, hung, silent, absent| Rates {
            detected,
            crashed,
            hung,
            silent,
            absent,
        };
        assert_eq!(rates(40, 0, 0, 0, 0).cell(), "40");
        assert_eq!(rates(12, 3, 1, 4, 0).cell(), "12 +3c +1h");
        assert_eq!(rates(0, 0, 0, 0, 40).cell(), "-");
    }
}
