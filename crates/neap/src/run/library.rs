//! Finds libneap.so and makes sure that it is one.

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::elf::Elf;
use crate::failure::{Failure, REFUSED};

const NAME: &str = "libneap.so";
/// The variable that names the library.
pub(crate) const ENV_LIB: &str = "NEAP_LIB";

/// A library that the dynamic linker can load.
#[derive(Debug)]
pub(crate) struct Library {
    pub(crate) path: PathBuf,
    pub(crate) elf: Elf,
}

impl Library {
    /// The library named by `--lib`, else by NEAP_LIB, else the one beside this program.
    pub(crate) fn find(option: Option<&Path>) -> Result<Library, Failure> {
        let named = option.map(|path| (path.to_owned(), "--lib"));
        let from_env = || env::var_os(ENV_LIB).filter(|path| !path.is_empty());
        if let Some((path, source)) = named.or_else(|| from_env().map(|path| (path.into(), ENV_LIB))) {
            if !path.is_file() {
                return Err(missing(&[format!("{} ({source})", path.display())]));
            }
            return Library::open(&path);
        }
        let places = env::current_exe().map(|exe| beside(&exe)).unwrap_or_default();
        match places.iter().find(|path| path.is_file()) {
            Some(path) => Library::open(path),
            None => Err(missing(
                &places
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect::<Vec<_>>(),
            )),
        }
    }

    fn open(path: &Path) -> Result<Library, Failure> {
        let refuse = |why: &str, mend: &str| Failure {
            code: REFUSED,
            message: format!("cannot use {}\n  why:   {why}\n  mend:  {mend}", path.display()),
        };
        let path = std::path::absolute(path).map_err(|error| Failure::own(path.display(), error))?;
        if !can_be_preloaded(&path) {
            return Err(refuse(
                "LD_PRELOAD cannot name a path with a blank, a colon or a dollar sign",
                "link it from another folder and give that path: ln -s ... /tmp/libneap.so; neap run --lib /tmp/libneap.so",
            ));
        }
        let file = File::open(&path).map_err(|error| refuse(&error.to_string(), "make it readable"))?;
        match Elf::read(&file) {
            Ok(Some(elf)) if elf.defines("malloc") && elf.defines("free") => Ok(Library { path, elf }),
            _ => Err(refuse(
                "it is no shared library that defines malloc and free",
                "build it again with `cargo xtask build`, or name the right file with --lib",
            )),
        }
    }

    /// The value of LD_PRELOAD: this library before whatever is loaded already.
    pub(crate) fn preload(&self) -> OsString {
        let mut value = self.path.clone().into_os_string();
        if let Some(others) = env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
            value.push(":");
            value.push(others);
        }
        value
    }
}

/// ld.so(8) splits LD_PRELOAD at blanks and colons and has no way to quote them.
pub(crate) fn can_be_preloaded(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    !bytes.iter().any(|byte| matches!(byte, b' ' | b':' | b'$'))
}

/// Where an installed or a freshly built neap has its library.
fn beside(exe: &Path) -> Vec<PathBuf> {
    let Some(folder) = exe.parent() else {
        return Vec::new();
    };
    let mut places = vec![folder.join(NAME)];
    if let Some(above) = folder.parent() {
        places.insert(0, above.join("lib").join(NAME));
        // target/debug/neap finds target/release/libneap.so: only a release build can be loaded.
        places.push(above.join("release").join(NAME));
    }
    places
}

fn missing(places: &[String]) -> Failure {
    let mut message = format!("cannot find {NAME}\n  why:   it is in none of these places:");
    for place in places {
        let _ = write!(message, "\n           {place}");
    }
    let _ = write!(
        message,
        "\n  mend:  build it with `cargo xtask build`, or name it with --lib PATH or {ENV_LIB}=PATH"
    );
    Failure {
        code: REFUSED,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_is_told_with_the_places_and_the_way_out() {
        let failure = Library::find(Some(Path::new("/nowhere/libneap.so"))).unwrap_err();
        assert_eq!(failure.code, REFUSED);
        for part in ["/nowhere/libneap.so (--lib)", "cargo xtask build", "NEAP_LIB"] {
            assert!(failure.message.contains(part), "{}", failure.message);
        }
    }

    #[test]
    fn what_is_no_allocator_is_refused() {
        let failure = Library::find(Some(Path::new("/bin/sh"))).unwrap_err();
        assert!(failure.message.contains("defines malloc"), "{}", failure.message);
    }

    #[test]
    fn a_path_that_ld_preload_cannot_name_is_refused() {
        let folder = tempfile::Builder::new().prefix("a b").tempdir().unwrap();
        let path = folder.path().join(NAME);
        std::fs::write(&path, b"").unwrap();
        let failure = Library::find(Some(&path)).unwrap_err();
        assert!(
            failure.message.contains("LD_PRELOAD cannot name"),
            "{}",
            failure.message
        );
    }

    #[test]
    fn an_installed_and_a_built_neap_look_in_the_right_places() {
        let places = beside(Path::new("/opt/neap/bin/neap"));
        assert_eq!(places[0], Path::new("/opt/neap/lib/libneap.so"));
        assert!(beside(Path::new("/w/target/debug/neap")).contains(&"/w/target/release/libneap.so".into()));
    }
}
