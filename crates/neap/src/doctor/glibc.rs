//! Versions of the C library: the running one's, and what a library needs.
//!
//! glibc has no version but the newest of its symbol versions, `GLIBC_2.N`. A shared library lists those it
//! needs by the same names.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use neap_proc::parse::Name;
use neap_proc::read::Proc;

use crate::run::elf;

/// `2.36`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// `GLIBC_2.36`; `GLIBC_2.2.5` is 2.2.
    fn parse(text: &str) -> Option<Version> {
        let mut numbers = text.strip_prefix("GLIBC_")?.split('.').map(str::parse);
        let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(Version { major, minor })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The version of the C library that this process runs on.
pub(crate) fn running() -> Option<Version> {
    newest(&library()?)
}

/// The newest version that a file names: of the C library its own, of any other the one that it needs.
pub(crate) fn newest(path: &Path) -> Option<Version> {
    let names = elf::version_names(&File::open(path).ok()?).ok()?;
    names.iter().filter_map(|name| Version::parse(name)).max()
}

/// The C library's file, as it is mapped here.
fn library() -> Option<PathBuf> {
    let maps = Proc::default().maps(std::process::id()).value()?;
    maps.mappings.into_iter().find_map(|mapping| {
        let Name::File { path, .. } = mapping.name else {
            return None;
        };
        let file = path.rsplit('/').next()?;
        (file == "libc.so.6" || file.starts_with("libc-2")).then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_and_not_texts() {
        let version = |text| Version::parse(text);
        assert!(version("GLIBC_2.4") < version("GLIBC_2.36"));
        assert_eq!(version("GLIBC_2.2.5").unwrap().to_string(), "2.2");
        assert_eq!((version("GLIBC_PRIVATE"), version("GLIBCXX_3.4")), (None, None));
    }

    #[test]
    fn this_process_runs_on_a_glibc_that_is_new_enough_for_it() {
        let running = running().unwrap();
        let needed = newest(Path::new("/proc/self/exe")).unwrap();
        assert!(running >= needed, "{running} and {needed}");
    }
}
