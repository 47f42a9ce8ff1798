//! Why a command is refused: what, where, why, and the way out.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, NOT_FOUND, REFUSED};

/// One refusal.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The command as typed.
    pub(crate) command: String,
    /// The file that is the cause; a script's interpreter rather than the script.
    pub(crate) file: Option<PathBuf>,
    pub(crate) cause: Cause,
}

/// The cause.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    NotFound { searched: Option<String> },
    NotExecutable,
    Folder,
    NoProgram,
    Broken(String),
    TooManyInterpreters,
    MissingInterpreter { interpreter: String },
    MissingLoader { loader: String },
    Static { go: bool },
    Musl { loader: String },
    OtherMachine { program: String, library: String },
    Setuid { bits: &'static str },
    Capabilities,
    OwnMalloc,
    MixedAllocators { function: String },
}

impl Refusal {
    pub(crate) fn new(command: impl Into<String>, file: &Path, cause: Cause) -> Refusal {
        Refusal {
            command: command.into(),
            file: Some(file.to_owned()),
            cause,
        }
    }
}

impl Refusal {
    /// The cause in one line.
    pub(crate) fn brief(&self) -> String {
        format!(
            "`{}` is not served by libneap.so: {}",
            self.command,
            self.cause.why()
        )
    }
}

impl Cause {
    /// Whether the command could run, only not under libneap.so: what `--force` is for.
    pub(crate) fn can_be_forced(&self) -> bool {
        matches!(
            self,
            Cause::Static { .. }
                | Cause::Musl { .. }
                | Cause::OtherMachine { .. }
                | Cause::Setuid { .. }
                | Cause::Capabilities
                | Cause::OwnMalloc
                | Cause::MixedAllocators { .. }
        )
    }

    fn why(&self) -> String {
        match self {
            Cause::NotFound { searched: Some(path) } => format!("no folder of PATH has it ({path})"),
            Cause::NotFound { searched: None } => "there is no such file".to_owned(),
            Cause::NotExecutable => "the file may not be executed".to_owned(),
            Cause::Folder => "it is a folder".to_owned(),
            Cause::NoProgram => "it is neither an ELF program nor a script".to_owned(),
            Cause::Broken(how) => format!("its ELF headers are broken ({how})"),
            Cause::TooManyInterpreters => "its interpreter is a script of a script of a script ...".to_owned(),
            Cause::MissingInterpreter { interpreter } => {
                format!("the script names the interpreter {interpreter}, which is not there")
            }
            Cause::MissingLoader { loader } => format!("it needs the dynamic linker {loader}, which is not there"),
            Cause::Static { go: false } => {
                "it is linked statically: no dynamic linker runs that could load libneap.so into it".to_owned()
            }
            Cause::Static { go: true } => {
                "it is a Go program, linked statically and with its own heap: nothing in it calls malloc".to_owned()
            }
            Cause::Musl { loader } => {
                format!("it is a musl program ({loader}) and libneap.so is built for glibc: neither can load the other")
            }
            Cause::OtherMachine { program, library } => {
                format!("it is built for {program} and libneap.so for {library}")
            }
            Cause::Setuid { bits } => format!(
                "it is {bits} and would run with another user's rights: the dynamic linker then ignores LD_PRELOAD"
            ),
            Cause::Capabilities => {
                "it has file capabilities and would gain rights: the dynamic linker then ignores LD_PRELOAD".to_owned()
            }
            Cause::OwnMalloc => {
                "it defines malloc and free itself, and a program's own symbols come before those of LD_PRELOAD"
                    .to_owned()
            }
            Cause::MixedAllocators { function } => format!(
                "it calls {function}, which only its own allocator has, and may hand that memory to libneap.so's free"
            ),
        }
    }

    fn mend(&self) -> &'static str {
        match self {
            Cause::NotFound { .. } => "check the spelling; give the path of a program that is not in PATH",
            Cause::NotExecutable => "chmod +x it, or name the interpreter: neap run -- sh FILE",
            Cause::Folder => "name a program in it",
            Cause::NoProgram => "name the program that is to run it: neap run -- PROGRAM FILE",
            Cause::Broken(_) => "build or copy the file again",
            Cause::TooManyInterpreters => "name the last interpreter yourself: neap run -- INTERPRETER FILE",
            Cause::MissingInterpreter { .. } => "install the interpreter or correct the script's first line",
            Cause::MissingLoader { .. } => "install the C library that the program was built for",
            Cause::Static { go: false } => {
                "link it dynamically; a Rust program can make neap_heap::Neap its global allocator"
            }
            Cause::Static { go: true } => {
                "for Go's heap use its own tools: GODEBUG=gctrace=1, GOMEMLIMIT, pprof"
            }
            Cause::Musl { .. } => {
                "build it for glibc; a Rust program can make neap_heap::Neap its global allocator"
            }
            Cause::OtherMachine { .. } => "give a libneap.so of the program's machine with --lib",
            Cause::Setuid { .. } => {
                "run a copy without the bit (cp makes one), or run it as the file's owner"
            }
            Cause::Capabilities => "run a copy without capabilities (cp makes one), or run it as root",
            Cause::OwnMalloc => {
                "build it without its allocator (jemalloc, tcmalloc, mimalloc are build options)"
            }
            Cause::MixedAllocators { .. } => "build it against the C library's malloc",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.cause.can_be_forced() {
            "cannot serve"
        } else {
            "cannot run"
        };
        write!(f, "{verb} `{}`", self.command)?;
        if let Some(file) = &self.file {
            write!(f, "\n  where: {}", file.display())?;
        }
        write!(
            f,
            "\n  why:   {}\n  mend:  {}",
            self.cause.why(),
            self.cause.mend()
        )?;
        Ok(())
    }
}

impl Refusal {
    /// For `neap run`, which can run some of these all the same.
    pub(crate) fn or_forced(self) -> Failure {
        let can_be_forced = self.cause.can_be_forced();
        let mut failure = Failure::from(self);
        if can_be_forced {
            failure
                .message
                .push_str("\n         (--force runs it all the same, without figures of its heap)");
        }
        failure
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        let code = if matches!(refusal.cause, Cause::NotFound { .. }) {
            NOT_FOUND
        } else {
            REFUSED
        };
        Failure {
            code,
            message: refusal.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_where_why_and_how_to_mend() {
        let refusal = Refusal::new("./a", Path::new("/x/a"), Cause::Static { go: false });
        let text = refusal.to_string();
        for part in [
            "cannot serve `./a`",
            "where: /x/a",
            "why:   it is linked statically",
            "mend:  ",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("--force"), "{text}");
        let failure = refusal.or_forced();
        assert!(
            failure.code == REFUSED && failure.message.contains("--force"),
            "{}",
            failure.message
        );
    }

    #[test]
    fn what_cannot_run_at_all_cannot_be_forced() {
        let refusal = Refusal {
            command: "x".into(),
            file: None,
            cause: Cause::NotFound { searched: None },
        };
        assert!(refusal.to_string().starts_with("cannot run `x`"));
        let failure = refusal.or_forced();
        assert!(failure.code == NOT_FOUND && !failure.message.contains("--force"));
    }
}
