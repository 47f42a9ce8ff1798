//! Who takes part: the system's malloc, neap, what `--with` names and what is installed.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::probe::{self, Service};
use crate::failure::{Failure, REFUSED, USAGE};
use crate::run::elf::Elf;
use crate::run::library::{Library, can_be_preloaded};

/// The C library's own.
pub(crate) const SYSTEM: &str = "system";
pub(crate) const NEAP: &str = "neap";
/// The dynamic linker's list for the whole system.
const SYSTEM_PRELOAD: &str = "/etc/ld.so.preload";

/// Allocators that packages bring, and the names of their libraries without the version.
const KNOWN: [(&str, &str); 10] = [
    ("jemalloc", "libjemalloc.so"),
    ("mimalloc", "libmimalloc.so"),
    ("tcmalloc", "libtcmalloc.so"),
    ("tcmalloc_minimal", "libtcmalloc_minimal.so"),
    ("snmalloc", "libsnmallocshim.so"),
    ("rpmalloc", "librpmalloc.so"),
    ("tbbmalloc", "libtbbmalloc_proxy.so"),
    ("hardened_malloc", "libhardened_malloc.so"),
    ("scudo", "libscudo.so"),
    ("hoard", "libhoard.so"),
];
/// Where Debian (multiarch), Fedora, Arch and `make install` put libraries.
const FOLDERS: [&str; 10] = [
    "/usr/local/lib",
    "/usr/local/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/lib64",
    "/usr/lib",
    "/opt/lib",
];

/// `NAME=LIB.so` of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// Where an allocator comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The C library, or neap itself.
    BuiltIn,
    /// `--with`.
    Named,
    Installed,
}

/// One allocator that takes part.
#[derive(Clone, Debug)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) origin: Origin,
    /// The library with every link followed, as /proc/PID/maps shows it; `None` for the system's.
    pub(crate) library: Option<PathBuf>,
    /// LD_PRELOAD for its runs; `None`: without the variable.
    pub(crate) preload: Option<OsString>,
    pub(crate) service: Service,
    /// The user asked for it by name.
    pub(crate) wanted: bool,
}

/// What the user wants.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) neap: &'a Library,
    pub(crate) with: &'a [Named],
    /// Empty: all.
    pub(crate) only: &'a [String],
}

/// Everyone who takes part, the system's malloc first, and what is to be said about it.
pub(crate) fn gather(wanted: &Wanted<'_>) -> Result<(Vec<Contestant>, Vec<String>), Failure> {
    let (others, mut notes) = inherited_preload();
    let neap = Named {
        name: NEAP.to_owned(),
        path: wanted.neap.path.clone(),
    };
    let mut list = vec![(SYSTEM.to_owned(), Origin::BuiltIn, None)];
    list.push((neap.name, Origin::BuiltIn, Some(neap.path)));
    for named in wanted.with {
        list.push((named.name.clone(), Origin::Named, Some(usable(named)?)));
    }
    for (name, stem) in KNOWN {
        if wanted.with.iter().all(|named| named.name != name)
            && let Some(path) = installed(stem, &wanted.neap.elf)
        {
            list.push((name.to_owned(), Origin::Installed, Some(path)));
        }
    }
    choose(&mut list, wanted.only)?;
    let contestants: Vec<Contestant> = list
        .into_iter()
        .map(|(name, origin, library)| {
            let library = library.map(|path| path.canonicalize().unwrap_or(path));
            let preload = join(library.as_deref(), others.as_deref());
            Contestant {
                wanted: origin != Origin::Installed || wanted.only.contains(&name),
                service: probe::service(preload.as_deref(), library.as_deref()),
                name,
                origin,
                library,
                preload,
            }
        })
        .collect();
    if let Some(foreign) = contestants.first().and_then(foreign_system) {
        notes.push(foreign);
    }
    Ok((contestants, notes))
}

/// The system's malloc that is somebody else's.
fn foreign_system(system: &Contestant) -> Option<String> {
    let Service::Serves { by } = &system.service else {
        return None;
    };
    let name = by.file_name()?.as_bytes();
    let own = name.starts_with(b"libc.so") || name.starts_with(b"libc-");
    (system.name == SYSTEM && !own).then(|| {
        format!(
            "`{SYSTEM}` is not the C library's malloc here: {} serves it (LD_PRELOAD or {SYSTEM_PRELOAD})",
            by.display()
        )
    })
}

fn choose(list: &mut Vec<(String, Origin, Option<PathBuf>)>, only: &[String]) -> Result<(), Failure> {
    for name in only {
        if list.iter().any(|(there, ..)| there == name) {
            continue;
        }
        let there: Vec<&str> = list.iter().map(|(name, ..)| name.as_str()).collect();
        let why = match KNOWN.iter().find(|(known, _)| known == name) {
            Some((_, stem)) => format!("{stem}* is in none of {}", FOLDERS.join(", ")),
            None => "neap knows no allocator of that name".to_owned(),
        };
        return Err(Failure {
            code: REFUSED,
            message: format!(
                "--only {name}: there is no such allocator here\n  why:   {why}\n  mend:  \
                 install it, or name it with --with {name}=LIB.so; there are: {}",
                there.join(", ")
            ),
        });
    }
    if !only.is_empty() {
        list.retain(|(name, ..)| only.contains(name));
    }
    Ok(())
}

/// The file that `--with` names.
fn usable(named: &Named) -> Result<PathBuf, Failure> {
    let refuse = |why: &str, mend: &str| {
        let (name, path) = (&named.name, named.path.display());
        Err(Failure {
            code: REFUSED,
            message: format!("--with {name}={path}: cannot be used\n  why:   {why}\n  mend:  {mend}"),
        })
    };
    let path = std::path::absolute(&named.path).map_err(|error| Failure::own(named.path.display(), error))?;
    if !path.is_file() {
        return refuse(
            "there is no such file",
            "give the path of the allocator's shared library",
        );
    }
    if !can_be_preloaded(&path.canonicalize().unwrap_or_else(|_| path.clone())) {
        return refuse(
            "LD_PRELOAD cannot name a path with a blank, a colon or a dollar sign",
            "copy it to another folder",
        );
    }
    Ok(path)
}

/// Parses `NAME=LIB.so`.
pub(crate) fn parse_named(text: &str) -> Result<Named, String> {
    let (name, path) = text
        .split_once('=')
        .ok_or_else(|| "write NAME=LIB.so, e.g. je=/usr/lib/libjemalloc.so.2".to_owned())?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '+' | '-');
    if name.is_empty() || name.len() > 16 || !name.chars().all(fits) {
        return Err("a name has 1 to 16 letters, digits, `_`, `.`, `+` or `-`".to_owned());
    }
    if name == SYSTEM || name == NEAP {
        return Err(format!("`{name}` is taken (--lib names another libneap.so)"));
    }
    if path.is_empty() {
        return Err("the path after `=` is missing".to_owned());
    }
    Ok(Named {
        name: name.to_owned(),
        path: PathBuf::from(path),
    })
}

/// Two with one name.
pub(crate) fn check_names(with: &[Named]) -> Result<(), Failure> {
    for (index, named) in with.iter().enumerate() {
        if with.iter().take(index).any(|earlier| earlier.name == named.name) {
            return Err(Failure {
                code: USAGE,
                message: format!("--with names `{}` twice", named.name),
            });
        }
    }
    Ok(())
}

/// The newest version of a library that this machine's programs can load.
fn installed(stem: &str, like: &Elf) -> Option<PathBuf> {
    let candidates = FOLDERS
        .iter()
        .flat_map(|folder| versions(Path::new(folder), stem));
    candidates.into_iter().find(|path| {
        let facts = fs::File::open(path)
            .and_then(|file| Elf::read(&file))
            .ok()
            .flatten();
        facts.is_some_and(|facts| (facts.bits, facts.machine) == (like.bits, like.machine))
    })
}

/// `STEM.N...` in a folder, the greatest number first, then plain `STEM` (which may be a linker script).
fn versions(folder: &Path, stem: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(Vec<u64>, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let rest = name.strip_prefix(stem)?;
            let numbers: Option<Vec<u64>> = match rest.strip_prefix('.') {
                Some(version) => version.split('.').map(|part| part.parse().ok()).collect(),
                None => rest.is_empty().then(Vec::new),
            };
            Some((numbers?, entry.path()))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// The user's own LD_PRELOAD without the allocators in it: each run is to have one.
fn inherited_preload() -> (Option<OsString>, Vec<String>) {
    let value = env::var_os("LD_PRELOAD").unwrap_or_default();
    let (mut kept, mut notes): (Vec<&[u8]>, Vec<String>) = (Vec::new(), Vec::new());
    let words = value.as_bytes().split(|byte| matches!(byte, b' ' | b':'));
    for word in words.filter(|word| !word.is_empty()) {
        let path = Path::new(OsStr::from_bytes(word));
        let facts = fs::File::open(path)
            .and_then(|file| Elf::read(&file))
            .ok()
            .flatten();
        if facts.is_some_and(|facts| facts.defines("malloc")) {
            notes.push(format!(
                "LD_PRELOAD named {}, an allocator: left out of every run (--with NAME={} compares it)",
                path.display(),
                path.display()
            ));
        } else {
            kept.push(word);
        }
    }
    let kept = kept.join(&b':');
    ((!kept.is_empty()).then(|| OsString::from_vec(kept)), notes)
}

fn join(library: Option<&Path>, others: Option<&OsStr>) -> Option<OsString> {
    let parts: Vec<&OsStr> = library.map(Path::as_os_str).into_iter().chain(others).collect();
    (!parts.is_empty()).then(|| parts.join(OsStr::new(":")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_told_apart() {
        let named = parse_named("je=/x/a=b.so").unwrap();
        assert_eq!(
            (named.name.as_str(), named.path.as_path()),
            ("je", Path::new("/x/a=b.so"))
        );
        for wrong in [
            "je",
            "=x",
            "a b=x",
            "neap=x",
            "system=x",
            "je=",
            "an-endless-name-x=y",
        ] {
            assert!(parse_named(wrong).is_err(), "{wrong}");
        }
        let twice = [named.clone(), named];
        assert!(check_names(&twice).is_err() && check_names(&twice[..1]).is_ok());
    }

    #[test]
    fn the_greatest_version_comes_first_and_relatives_are_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "libx.so",
            "libx.so.2",
            "libx.so.10",
            "libx.so.2.1",
            "libx.so.bak",
            "libxy.so.3",
            "libx.so.",
        ] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        let names: Vec<String> = versions(folder.path(), "libx.so")
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["libx.so.10", "libx.so.2.1", "libx.so.2", "libx.so"]);
    }

    #[test]
    fn only_keeps_what_it_names_and_refuses_what_is_not_there() {
        let list = || {
            vec![
                (SYSTEM.to_owned(), Origin::BuiltIn, None),
                (NEAP.to_owned(), Origin::BuiltIn, None),
            ]
        };
        let mut kept = list();
        choose(&mut kept, &["neap".to_owned()]).unwrap();
        assert_eq!(kept.len(), 1);
        let failure = choose(&mut list(), &["hoard".to_owned()]).unwrap_err();
        assert!(failure.message.contains("libhoard.so*"), "{}", failure.message);
        assert!(choose(&mut list(), &["nonsense".to_owned()]).is_err());
    }
}
