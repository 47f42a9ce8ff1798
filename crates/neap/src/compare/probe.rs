//! Asks the dynamic linker who would serve malloc under a value of LD_PRELOAD.
//!
//! neap starts itself (`neap --version`) with `LD_DEBUG=bindings`; ld.so(8) then says for every symbol which
//! library it found it in, and says why a library could not be loaded. That is its own word on the matter;
//! whether the library is really in the measured command, [`super::presence`] looks up in /proc.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The zeroth argument of the probe, by which ld.so calls it.
const PROBE: &str = "neap-probe";

/// Who serves malloc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// The library does; without one, this file does.
    Serves { by: PathBuf },
    /// The library does not: why.
    NotLoaded(String),
    /// The dynamic linker did not say.
    Unknown(String),
}

/// Who serves malloc when LD_PRELOAD is `preload`, of which `library` is the allocator.
pub(crate) fn service(preload: Option<&OsStr>, library: Option<&Path>) -> Service {
    let mut probe = Command::new("/proc/self/exe");
    probe
        .arg0(PROBE)
        .arg("--version")
        .env("LD_DEBUG", "bindings")
        .env("LD_BIND_NOW", "1");
    probe
        .env_remove("LD_DEBUG_OUTPUT")
        .env_remove(neap_abi::ENV_BOARD);
    match preload {
        Some(value) => probe.env("LD_PRELOAD", value),
        None => probe.env_remove("LD_PRELOAD"),
    };
    let output = probe
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    match output {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            judge(&text, library, output.status.success())
        }
        Err(error) => Service::Unknown(format!("neap could not start itself: {error}")),
    }
}

fn judge(text: &str, library: Option<&Path>, succeeded: bool) -> Service {
    if let Some(library) = library
        && let Some(why) = not_preloaded(text, library)
    {
        return Service::NotLoaded(why);
    }
    let Some(by) = text.lines().filter_map(binding).next_back() else {
        if let Some(line) = text.lines().find(|line| line.contains("symbol lookup error"))
            && library.is_some()
        {
            return Service::NotLoaded(format!("the dynamic linker says: {}", line.trim()));
        }
        return Service::Unknown("the dynamic linker does not tell (LD_DEBUG=bindings)".to_owned());
    };
    let by = by.canonicalize().unwrap_or(by);
    match library {
        Some(library) if by != library => Service::NotLoaded(format!(
            "it is loaded, but {} serves malloc: it defines none of its own",
            by.display()
        )),
        Some(_) if !succeeded => Service::NotLoaded("`neap --version` does not survive under it".to_owned()),
        _ => Service::Serves { by },
    }
}

/// ld.so's complaint about a library, without the frame around it.
pub(crate) fn not_preloaded(text: &str, library: &Path) -> Option<String> {
    let library = library.to_string_lossy();
    let line = text.lines().find(|line| {
        line.contains("ld.so: object") && line.contains("cannot be preloaded") && line.contains(&*library)
    })?;
    let why = line
        .split_once("cannot be preloaded (")
        .map_or(line, |(_, rest)| rest);
    let why = why
        .trim_end()
        .trim_end_matches(": ignored.")
        .trim_end_matches(')');
    Some(format!("the dynamic linker says: {why}"))
}

/// `binding file neap-probe [0] to LIBRARY [0]: normal symbol `malloc' [GLIBC_2.2.5]`.
fn binding(line: &str) -> Option<PathBuf> {
    let (from, rest) = line.split_once("binding file ")?.1.split_once(" [")?;
    let (to, symbol) = rest.split_once(" to ")?.1.rsplit_once("]: normal symbol ")?;
    let to = to.rsplit_once(" [")?.0;
    (from == PROBE && symbol.starts_with("`malloc'")).then(|| PathBuf::from(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "\
      7:\tbinding file /lib/libc.so.6 [0] to /x/libje.so [0]: normal symbol `malloc' [GLIBC_2.2.5]
      7:\tbinding file neap-probe [0] to /lib/libc.so.6 [0]: normal symbol `free' [GLIBC_2.2.5]
      7:\tbinding file neap-probe [0] to /x/libje.so [0]: normal symbol `malloc' [GLIBC_2.2.5]
      7:\tbinding file /x/libje.so [0] to /x/libje.so [0]: normal symbol `malloc_conf'
";

    #[test]
    fn the_linkers_word_is_read() {
        let je = Path::new("/x/libje.so");
        assert_eq!(
            judge(LINES, Some(je), true),
            Service::Serves { by: je.to_owned() }
        );
        assert!(matches!(judge(LINES, Some(je), false), Service::NotLoaded(why) if why.contains("survive")));
        let other = judge(LINES, Some(Path::new("/x/none.so")), true);
        assert!(matches!(other, Service::NotLoaded(why) if why.contains("/x/libje.so serves malloc")));
        assert!(matches!(judge("", None, true), Service::Unknown(_)));
    }

    #[test]
    fn a_library_that_cannot_be_loaded_has_the_linkers_reason() {
        let text = "ERROR: ld.so: object '/x/a.so' from LD_PRELOAD cannot be preloaded \
                    (cannot open shared object file): ignored.\n";
        let why = not_preloaded(text, Path::new("/x/a.so")).unwrap();
        assert_eq!(why, "the dynamic linker says: cannot open shared object file");
        assert_eq!(not_preloaded(text, Path::new("/x/b.so")), None);
    }
}
