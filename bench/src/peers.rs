//! Who is measured: neap, the C library, and every rival that is found.
//!
//! Rivals come from two places: Debian's packages, by path, and `bench/peers`, by the directory that
//! `cargo xtask bench` lets it fill. A rival that is not there is left out, and the caller says so.

use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An allocator, with the environment that puts a program under it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Allocator {
    /// Short, without blanks: the name on the command line and in records.
    pub(crate) name: String,
    /// Becomes `LD_PRELOAD`; none for the C library's own malloc.
    pub(crate) library: Option<PathBuf>,
    /// Its options.
    pub(crate) env: Vec<(String, String)>,
    /// Package and version, for the record.
    pub(crate) version: String,
}

impl Allocator {
    /// Ours, in any mode.
    pub(crate) fn is_neap(&self) -> bool {
        self.name.starts_with("neap")
    }

    /// The whole environment as `NAME=VALUE`, `LD_PRELOAD` included.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let preload = self
            .library
            .iter()
            .map(|l| ("LD_PRELOAD".to_owned(), l.display().to_string()));
        preload.chain(self.env.iter().cloned()).collect()
    }
}

/// The rivals of Debian's packages: name and file.
const DEBIAN: [(&str, &str); 4] = [
    ("mimalloc2", "libmimalloc.so.2"),
    ("jemalloc-deb", "libjemalloc.so.2"),
    ("tcmalloc", "libtcmalloc_minimal.so.4"),
    ("tcmalloc-full", "libtcmalloc.so.4"),
];

/// The rivals of `bench/peers`.
const PEERS: [(&str, &str); 4] = [
    ("mimalloc3", "libmimalloc3.so"),
    ("jemalloc", "libjemalloc.so"),
    ("snmalloc", "libsnmalloc.so"),
    ("rpmalloc", "librpmalloc.so"),
];

/// What a run measures unless it is told: everybody but the second of the two tcmallocs, which differs
/// from the first in what it can profile.
pub(crate) const DEFAULT: [&str; 11] = [
    "glibc",
    "mimalloc3",
    "mimalloc3-4k",
    "mimalloc2",
    "jemalloc",
    "jemalloc-deb",
    "tcmalloc",
    "snmalloc",
    "rpmalloc",
    "neap",
    "neap-noebb",
];

/// Where builds lie: the directory of this program (a release build), and the target directory above.
pub(crate) fn release() -> Result<PathBuf, String> {
    let exe = std::env::current_exe().map_err(|e| format!("cannot find this program's own path: {e}"))?;
    let directory = exe.parent().map(Path::to_owned);
    directory.ok_or_else(|| format!("{} lies in no directory", exe.display()))
}

/// Everybody there is, with the names of those there are not. `neap` is libneap.so; `neap-noebb` is neap
/// that gives nothing back unasked, `mimalloc3-4k` is mimalloc 3 without the huge pages that it asks for by
/// default, to tell their share from its own.
pub(crate) fn all(neap: &Path, peers: &Path) -> (Vec<Allocator>, Vec<String>) {
    let found = |name: &str, library: PathBuf, version: String| Allocator {
        name: name.to_owned(),
        library: Some(library),
        env: Vec::new(),
        version,
    };
    let mut here = vec![Allocator {
        name: "glibc".to_owned(),
        library: None,
        env: Vec::new(),
        version: debian_version("libc6"),
    }];
    let mut missing = Vec::new();
    let versions = std::fs::read_to_string(peers.join("versions")).unwrap_or_default();
    for (name, file) in PEERS {
        let path = peers.join(file);
        let line = versions.lines().find_map(|l| l.strip_prefix(file));
        if path.is_file() {
            let plain = found(name, path, line.unwrap_or("?").trim().to_owned());
            here.push(plain.clone());
            if name == "mimalloc3" {
                here.push(Allocator {
                    name: "mimalloc3-4k".to_owned(),
                    env: vec![("MIMALLOC_ALLOW_THP".to_owned(), "0".to_owned())],
                    ..plain
                });
            }
        } else {
            missing.push(name.to_owned());
        }
    }
    for (name, file) in DEBIAN {
        match debian_library(file) {
            Some(path) => {
                let version = owner(&path);
                here.push(found(name, path, version));
            }
            None => missing.push(name.to_owned()),
        }
    }
    if neap.is_file() {
        let version = env!("CARGO_PKG_VERSION");
        let plain = found("neap", neap.to_owned(), format!("neap {version}"));
        here.push(plain.clone());
        let keep = (
            "GLIBC_TUNABLES",
            "glibc.malloc.trim_threshold=18446744073709551615",
        );
        here.push(Allocator {
            name: "neap-noebb".to_owned(),
            env: vec![(keep.0.to_owned(), keep.1.to_owned())],
            ..plain
        });
    } else {
        missing.push("neap".to_owned());
    }
    (here, missing)
}

/// Those of `all` that are `wanted`, in that order. An unknown name is an error that lists the known.
pub(crate) fn pick(all: &[Allocator], wanted: &[String]) -> Result<Vec<Allocator>, String> {
    let known = || all.iter().map(|a| a.name.as_str()).collect::<Vec<_>>().join(", ");
    let one = |name: &String| {
        let found = all.iter().find(|a| a.name == *name);
        found
            .cloned()
            .ok_or_else(|| format!("no allocator {name}; there are: {}", known()))
    };
    wanted.iter().map(one).collect()
}

pub(crate) fn debian_library(file: &str) -> Option<PathBuf> {
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    let folders = [
        format!("/usr/lib/{triple}"),
        "/usr/lib64".to_owned(),
        "/usr/lib".to_owned(),
    ];
    folders
        .iter()
        .map(|folder| Path::new(folder).join(file))
        .find(|path| path.is_file())
}

/// Package and version of an installed file.
fn owner(file: &Path) -> String {
    let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    for path in [file, real.as_path()] {
        let said = said(Command::new("dpkg-query").arg("-S").arg(path));
        if let Some((package, _)) = said.rsplit_once(": ") {
            return debian_version(package);
        }
    }
    real.display().to_string()
}

fn debian_version(package: &str) -> String {
    let said = said(Command::new("dpkg-query").args(["-W", "-f", "${Package} ${Version}\n", package]));
    said.lines().next().unwrap_or(package).to_owned()
}

/// What a command writes to standard output; nothing if it fails.
pub(crate) fn said(command: &mut Command) -> String {
    let output = command.stderr(std::process::Stdio::null()).output();
    let good = output.ok().filter(|o| o.status.success());
    good.map_or_else(String::new, |o| {
        String::from_utf8_lossy(&o.stdout).trim().to_owned()
    })
}
