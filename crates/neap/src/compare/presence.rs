//! Whether the allocator's library really is in the processes that are measured.
//!
//! The dynamic linker maps what is preloaded before any other library, and a program started by another may
//! have a different environment. So each program a process runs is looked up in `/proc/PID/maps`, again and
//! again until the library is seen, or another one without it, or [`SETTLED_NS`] have passed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use neap_proc::Reading;
use neap_proc::parse::{Maps, Name};
use neap_proc::read::Proc;

use crate::run::tree::{Process, Tree};

/// A program that has run for so long without any library has none: it is linked statically.
const SETTLED_NS: u64 = 200_000_000;
/// Names of programs without it that are remembered.
const NAMES_MAX: usize = 4;

/// What was seen in one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Presence {
    /// Programs that had it.
    pub(crate) with: u64,
    /// Programs that ran long enough and did not.
    pub(crate) without: u64,
    /// Programs that ended, or could not be read, before it could be seen.
    pub(crate) unseen: u64,
    /// Some of those without.
    pub(crate) names: Vec<String>,
}

/// Looks for one library while a run goes on.
#[derive(Debug)]
pub(crate) struct Lookout {
    library: Option<PathBuf>,
    programs: BTreeMap<u32, Program>,
    presence: Presence,
}

/// What a process runs; exec(2) makes another of it.
#[derive(Debug)]
struct Program {
    code_bytes: Option<u64>,
    since_ns: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    NotYet,
    With,
    Without,
}

impl Lookout {
    /// `None`: there is nothing to look for.
    pub(crate) fn new(library: Option<&Path>) -> Lookout {
        Lookout {
            library: library.map(Path::to_owned),
            programs: BTreeMap::new(),
            presence: Presence::default(),
        }
    }

    /// Looks at every process of a tree that was just read.
    pub(crate) fn look(&mut self, proc: &Proc, tree: &Tree, now_ns: u64) {
        let Some(library) = self.library.clone() else {
            return;
        };
        for process in tree.living().filter(|process| process.owns_memory()) {
            let fresh = Program {
                code_bytes: process.code_bytes(),
                since_ns: now_ns,
                state: State::NotYet,
            };
            let program = self.programs.entry(process.pid).or_insert(fresh);
            if program.code_bytes != process.code_bytes() {
                let before = std::mem::replace(
                    program,
                    Program {
                        code_bytes: process.code_bytes(),
                        since_ns: now_ns,
                        state: State::NotYet,
                    },
                );
                self.presence.unseen += u64::from(before.state == State::NotYet);
            }
            if program.state != State::NotYet {
                continue;
            }
            let settled = now_ns.saturating_sub(program.since_ns) >= SETTLED_NS;
            program.state = match proc.maps(process.pid).map(|maps| State::of(&maps, &library)) {
                Reading::Value(State::NotYet) if settled => State::Without,
                Reading::Value(state) => state,
                Reading::Denied | Reading::Absent(_) => State::NotYet,
            };
            match program.state {
                State::NotYet => {}
                State::With => self.presence.with += 1,
                State::Without => self.without(process),
            }
        }
    }

    fn without(&mut self, process: &Process) {
        self.presence.without += 1;
        let name = process.command.first().map_or("?", String::as_str).to_owned();
        let names = &mut self.presence.names;
        if names.len() < NAMES_MAX && !names.contains(&name) {
            names.push(name);
        }
    }

    /// The run is over.
    pub(crate) fn finish(mut self) -> Presence {
        let open = self
            .programs
            .values()
            .filter(|program| program.state == State::NotYet);
        self.presence.unseen += u64::try_from(open.count()).unwrap_or(u64::MAX);
        self.presence
    }
}

impl State {
    fn of(maps: &Maps, library: &Path) -> State {
        let mut state = State::NotYet;
        for mapping in &maps.mappings {
            let Name::File { path, .. } = &mapping.name else {
                continue;
            };
            let path = Path::new(path);
            if path == library {
                return State::With;
            }
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            // The dynamic linker itself comes first of all.
            if mapping.execute && name.contains(".so") && !name.starts_with("ld") {
                state = State::Without;
            }
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const STARTING: &str = "55d0c6e00000-55d0c6e02000 r-xp 00000000 fe:00 11 /usr/bin/cat\n\
        7f1200000000-7f1200021000 r-xp 00000000 fe:00 12 /usr/lib/ld-linux-x86-64.so.2\n\
        7f1200100000-7f1200121000 r--p 00000000 fe:00 13 /etc/ld.so.cache\n";
    const JE: &str = "7f1200200000-7f1200221000 r--p 00000000 fe:00 14 /x/libje.so\n";
    const LIBC: &str = "7f1200300000-7f1200321000 r-xp 00000000 fe:00 15 /usr/lib/libc.so.6\n";

    fn state(parts: &[&str]) -> State {
        State::of(&Maps::parse(parts.concat().as_bytes()), Path::new("/x/libje.so"))
    }

    #[test]
    fn a_program_without_it_has_another_library_or_nothing_yet() {
        assert_eq!(state(&[]), State::NotYet);
        assert_eq!(state(&[STARTING]), State::NotYet);
        assert_eq!(state(&[STARTING, JE]), State::With);
        assert_eq!(state(&[STARTING, LIBC]), State::Without);
        assert_eq!(state(&[STARTING, LIBC, JE]), State::With);
    }

    #[test]
    fn a_program_is_looked_up_once_and_counted_once() {
        let proc = Proc::default();
        // A shell of its own, because other tests start children of this process.
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "read go; sleep 60; :"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut tree = Tree::new(proc.clone(), shell.id());
        shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
        let sleeper = loop {
            tree.read(0);
            let found = tree.living().map(|process| process.pid).find(|&pid| {
                let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
                maps.contains("/sleep") && maps.contains("libc.so")
            });
            if let Some(pid) = found {
                break pid;
            }
            std::thread::yield_now();
        };
        let mut lookout = Lookout::new(Some(Path::new("/nowhere/libx.so")));
        for now in [200_000_000, 200_000_001, 400_000_000] {
            tree.read(now);
            lookout.look(&proc, &tree, now);
        }
        let pid = i32::try_from(sleeper)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::KILL).unwrap();
        shell.wait().unwrap();
        let presence = lookout.finish();
        assert_eq!((presence.with, presence.without, presence.unseen), (0, 1, 0));
        assert_eq!(presence.names, ["sleep"]);
    }
}
