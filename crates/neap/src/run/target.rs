//! Looks at a command before it runs: can libneap.so serve it?
//!
//! A script is judged by its interpreter. Refused is what libneap.so cannot serve at all; what it serves
//! in part gets a warning.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use rustix::process::{getgid, getuid};

use super::elf::{self, Elf};
use super::lookup::{self, NoFile};
use super::refusal::{Cause, Refusal};
use super::script::{Script, first_line};

/// How far the kernel follows scripts that are run by scripts.
const INTERPRETERS_MAX: usize = 5;
const S_ISUID: u32 = 0o4000;
const S_ISGID: u32 = 0o2000;
const S_IXGRP: u32 = 0o0010;

/// A command that may run.
#[derive(Debug)]
pub(crate) struct Target {
    /// What execve(2) is given.
    pub(crate) program: PathBuf,
    /// Every argument, the zeroth included.
    pub(crate) arguments: Vec<OsString>,
    /// What libneap.so will not see of it.
    pub(crate) warnings: Vec<String>,
}

/// Whether a refusal that can be overridden is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Force {
    No,
    Yes,
}

/// Finds and judges `command`.
pub(crate) fn inspect(command: &[OsString], library: &Elf, force: Force) -> Result<Target, Refusal> {
    let name = command.first().map_or(OsStr::new(""), OsString::as_os_str);
    let typed = name.to_string_lossy().into_owned();
    let program = lookup::find(name).map_err(|missing| no_file(&typed, missing))?;
    let mut warnings = Vec::new();
    let arguments = match judge(&typed, &program, library, &mut warnings) {
        Ok(Kind::Executable) => command.to_vec(),
        // execvp(3) hands a file without a known format to the shell.
        Ok(Kind::ShellText) => {
            let shell = [OsString::from("/bin/sh"), program.clone().into_os_string()];
            let arguments = shell.into_iter().chain(command.iter().skip(1).cloned()).collect();
            return Ok(Target {
                program: PathBuf::from("/bin/sh"),
                arguments,
                warnings,
            });
        }
        Err(refusal) if force == Force::Yes && refusal.cause.can_be_forced() => {
            warnings.push(format!("--force: {}", refusal.brief()));
            command.to_vec()
        }
        Err(refusal) => return Err(refusal),
    };
    Ok(Target {
        program,
        arguments,
        warnings,
    })
}

pub(crate) fn no_file(typed: &str, missing: NoFile) -> Refusal {
    let (file, cause) = match missing {
        NoFile::NotFound { searched } => (None, Cause::NotFound { searched }),
        NoFile::NotExecutable(path) => (Some(path), Cause::NotExecutable),
        NoFile::Folder(path) => (Some(path), Cause::Folder),
    };
    Refusal {
        command: typed.to_owned(),
        file,
        cause,
    }
}

enum Kind {
    Executable,
    ShellText,
}

/// Follows scripts to the program that runs, and judges that.
fn judge(typed: &str, program: &Path, library: &Elf, warnings: &mut Vec<String>) -> Result<Kind, Refusal> {
    let mut path = program.to_owned();
    for depth in 0..INTERPRETERS_MAX {
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) => {
                warnings.push(format!("{} could not be inspected ({error})", path.display()));
                return Ok(Kind::Executable);
            }
        };
        let facts =
            Elf::read(&file).map_err(|error| Refusal::new(typed, &path, Cause::Broken(error.to_string())))?;
        if let Some(facts) = facts {
            return judge_elf(typed, &path, &facts, library, warnings).map(|()| Kind::Executable);
        }
        let line = first_line(&mut file)
            .map_err(|error| Refusal::new(typed, &path, Cause::Broken(error.to_string())))?;
        let Some(script) = Script::parse(&line) else {
            let text = depth == 0 && !line.contains(&0);
            return if text {
                Ok(Kind::ShellText)
            } else {
                Err(Refusal::new(typed, &path, Cause::NoProgram))
            };
        };
        path = script
            .program()
            .map_err(|interpreter| Refusal::new(typed, &path, Cause::MissingInterpreter { interpreter }))?;
    }
    Err(Refusal::new(typed, program, Cause::TooManyInterpreters))
}

fn judge_elf(
    typed: &str,
    path: &Path,
    facts: &Elf,
    library: &Elf,
    warnings: &mut Vec<String>,
) -> Result<(), Refusal> {
    let refuse = |cause| Err(Refusal::new(typed, path, cause));
    let Some(loader) = &facts.interpreter else {
        return if facts.is_dynamic_linker() {
            Ok(())
        } else {
            refuse(Cause::Static { go: facts.go })
        };
    };
    if loader.contains("ld-musl") {
        return refuse(Cause::Musl {
            loader: loader.clone(),
        });
    }
    if (facts.bits, facts.machine) != (library.bits, library.machine) {
        return refuse(Cause::OtherMachine {
            program: facts.machine_name(),
            library: library.machine_name(),
        });
    }
    if !Path::new(loader).exists() {
        return refuse(Cause::MissingLoader {
            loader: loader.clone(),
        });
    }
    if let Some(cause) = gains_rights(path) {
        return refuse(cause);
    }
    if facts.defines("malloc") && facts.defines("free") {
        return refuse(Cause::OwnMalloc);
    }
    let mixed = facts
        .foreign_imports()
        .find(|name| elf::mixes_with_free(name) && !library.defines(name));
    if let Some(function) = mixed {
        return refuse(Cause::MixedAllocators {
            function: function.to_owned(),
        });
    }
    warnings.extend(partly_served(path, facts));
    Ok(())
}

/// The kernel marks a program that gains rights (AT_SECURE), and the dynamic linker then drops LD_PRELOAD.
fn gains_rights(path: &Path) -> Option<Cause> {
    let metadata = path.metadata().ok()?;
    let flags = rustix::fs::statvfs(path)
        .map(|vfs| vfs.f_flag)
        .unwrap_or(StatVfsMountFlags::empty());
    if flags.contains(StatVfsMountFlags::NOSUID) {
        return None;
    }
    if metadata.mode() & S_ISUID != 0 && metadata.uid() != getuid().as_raw() {
        return Some(Cause::Setuid { bits: "setuid" });
    }
    let setgid = metadata.mode() & S_ISGID != 0 && metadata.mode() & S_IXGRP != 0;
    if setgid && metadata.gid() != getgid().as_raw() {
        return Some(Cause::Setuid { bits: "setgid" });
    }
    // Root has every capability already, so a file's capabilities add nothing.
    let capable =
        rustix::fs::getxattr(path, "security.capability", &mut [0_u8; 64]).is_ok_and(|bytes| bytes > 0);
    (capable && !getuid().is_root()).then_some(Cause::Capabilities)
}

fn partly_served(path: &Path, facts: &Elf) -> Vec<String> {
    let mut warnings = Vec::new();
    let name = path.display();
    if facts.go {
        warnings.push(format!(
            "{name} is a Go program: Go's own heap does not pass through malloc"
        ));
    }
    if let Some(function) = facts.prefixed_allocator() {
        warnings.push(format!(
            "{name} has an allocator of its own ({function}): what it takes from that is not in the heap's figures"
        ));
    }
    let foreign = [
        "libjemalloc",
        "libtcmalloc",
        "libmimalloc",
        "libsnmalloc",
        "librpmalloc",
    ];
    let other = facts
        .needed
        .iter()
        .find(|needed| foreign.iter().any(|name| needed.starts_with(name)));
    if let Some(other) = other {
        warnings.push(format!(
            "{name} is linked with {other}: libneap.so comes before it and serves malloc and free; \
             functions that only {other} has still come from there"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library() -> Elf {
        Elf {
            machine: 62,
            bits: 64,
            ..Elf::default()
        }
    }

    fn program() -> Elf {
        Elf {
            interpreter: Some("/proc/self/exe".into()),
            ..library()
        }
    }

    fn cause(facts: &Elf) -> Option<Cause> {
        judge_elf(
            "x",
            Path::new("/proc/version"),
            facts,
            &library(),
            &mut Vec::new(),
        )
        .err()
        .map(|r| r.cause)
    }

    #[test]
    fn each_kind_of_program_has_its_cause() {
        assert_eq!(cause(&program()), None);
        assert_eq!(
            cause(&Elf {
                interpreter: None,
                ..program()
            }),
            Some(Cause::Static { go: false })
        );
        let loader = "/lib/ld-musl-x86_64.so.1".to_owned();
        assert_eq!(
            cause(&Elf {
                interpreter: Some(loader.clone()),
                ..program()
            }),
            Some(Cause::Musl { loader })
        );
        assert!(matches!(
            cause(&Elf {
                bits: 32,
                machine: 3,
                ..program()
            }),
            Some(Cause::OtherMachine { .. })
        ));
        let own = Elf {
            defines: vec!["free".into(), "malloc".into()],
            ..program()
        };
        assert_eq!(cause(&own), Some(Cause::OwnMalloc));
        let mixed = Elf {
            imports: vec!["malloc".into(), "mallocx".into()],
            ..program()
        };
        assert_eq!(
            cause(&mixed),
            Some(Cause::MixedAllocators {
                function: "mallocx".into()
            })
        );
        let gone = Elf {
            interpreter: Some("/lib/ld-gone.so".into()),
            ..program()
        };
        assert!(matches!(cause(&gone), Some(Cause::MissingLoader { .. })));
    }

    #[test]
    fn the_dynamic_linker_itself_may_run() {
        let linker = Elf {
            interpreter: None,
            soname: Some("ld-linux-x86-64.so.2".into()),
            ..library()
        };
        assert_eq!(cause(&linker), None);
    }

    #[test]
    fn a_program_that_is_served_in_part_is_warned_about() {
        let facts = Elf {
            needed: vec!["libjemalloc.so.2".into()],
            defines: vec!["mi_malloc".into()],
            go: true,
            ..program()
        };
        assert_eq!(partly_served(Path::new("x"), &facts).len(), 3);
        assert!(partly_served(Path::new("x"), &program()).is_empty());
    }
}
