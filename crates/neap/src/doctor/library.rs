//! libneap.so: is it there, can it be loaded, does it serve malloc, does it give back?

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Check, Group, Status, burst, glibc};
use crate::compare::probe::{self, Service};
use crate::run::elf::Elf;
use crate::run::library::Library;
use crate::unit;

/// The entry of the auxiliary vector that says that the dynamic linker ignores LD_PRELOAD.
const AT_SECURE: u64 = 23;

pub(super) fn group(named: Option<&Path>) -> Group {
    let mut checks = Vec::new();
    match Library::find(named) {
        Ok(library) => {
            checks.push(Check::needed(
                "libneap.so",
                Status::Ok,
                library.path.display().to_string(),
            ));
            checks.push(c_library(&library.path));
            checks.push(serves(&library));
            checks.push(gives_back(&library));
        }
        Err(failure) => {
            let first = failure.message.lines().next().unwrap_or_default().to_owned();
            checks.push(Check::needed("libneap.so", Status::Missing, first).costs(
                "there is nothing to run programs under",
                "build it with `cargo xtask build`, or name it with --lib PATH or NEAP_LIB=PATH",
            ));
        }
    }
    checks.push(secure());
    checks.push(others());
    checks.push(options());
    Group {
        name: "the library",
        checks,
    }
}

fn c_library(library: &Path) -> Check {
    let (status, found) = match (glibc::newest(library), glibc::running()) {
        (Some(needed), Some(running)) if running >= needed => {
            (Status::Ok, format!("glibc {running}, the library needs {needed}"))
        }
        (Some(needed), Some(running)) => (
            Status::Missing,
            format!("glibc {running} is older than {needed}, which the library needs"),
        ),
        (None, Some(running)) => (
            Status::Ok,
            format!("glibc {running}, the library needs no version"),
        ),
        (_, None) => (Status::Unknown, "the C library's file has no version".to_owned()),
    };
    Check::needed("C library", status, found).costs(
        "libneap.so cannot be loaded",
        "build libneap.so on the oldest system that it is to run on",
    )
}

fn serves(library: &Library) -> Check {
    let canonical = library
        .path
        .canonicalize()
        .unwrap_or_else(|_| library.path.clone());
    let (status, found) = match probe::service(Some(canonical.as_os_str()), Some(&canonical)) {
        Service::Serves { .. } => (
            Status::Ok,
            "a program started under it takes malloc from it".to_owned(),
        ),
        Service::NotLoaded(why) => (Status::Missing, why),
        Service::Unknown(why) => (Status::Unknown, why),
    };
    Check::needed("serves malloc", status, found).costs(
        "programs run under the C library's malloc as if neap were not there",
        "build it again with `cargo xtask build`; `ldd libneap.so` names what is missing",
    )
}

fn gives_back(library: &Library) -> Check {
    let (status, found) = match burst::run(library.path.as_os_str()) {
        Ok(seen) => judge(&seen),
        Err(why) => (Status::Unknown, why),
    };
    Check::needed("gives memory back", status, found).costs(
        "RSS stays as high as it was, or falls only while the program calls malloc and free",
        "see `clone`, `MADV_DONTNEED` and the limits below; NEAP_HELPER, M_TRIM_THRESHOLD (docs/options.md)",
    )
}

fn judge(seen: &burst::Seen) -> (Status, String) {
    let burst = &seen.burst;
    let fell = burst.last_bytes <= burst.first_bytes + burst::REST_BYTES;
    let mut found = format!(
        "a burst of {} fell to {} in {}",
        unit::size(burst.peak_bytes.saturating_sub(burst.first_bytes)),
        unit::size(burst.last_bytes.saturating_sub(burst.first_bytes)),
        unit::time(burst.waited_ns)
    );
    match seen.counted {
        None => {
            found.push_str(", but the child took no page of the board");
            (Status::Unknown, found)
        }
        Some((_, helpers)) if fell => {
            found.push_str(if helpers > 0 {
                ", by the helper"
            } else {
                ", without a helper"
            });
            (if helpers > 0 { Status::Ok } else { Status::Limited }, found)
        }
        Some(_) => (Status::Limited, found),
    }
}

fn secure() -> Check {
    let words = fs::read("/proc/self/auxv").unwrap_or_default();
    let secure = words.chunks_exact(16).find_map(|entry| {
        let (key, value) = entry.split_at(8);
        let word = |bytes: &[u8]| bytes.try_into().map(u64::from_ne_bytes).ok();
        (word(key)? == AT_SECURE).then(|| word(value)).flatten()
    });
    let (status, found) = match secure {
        Some(0) => (Status::Ok, "LD_PRELOAD is obeyed (AT_SECURE is 0)".to_owned()),
        Some(_) => (
            Status::Denied,
            "LD_PRELOAD is ignored (AT_SECURE is 1)".to_owned(),
        ),
        None => (Status::Unknown, "/proc/self/auxv does not say".to_owned()),
    };
    Check::needed("secure execution", status, found).costs(
        "programs started from here load no library of LD_PRELOAD",
        "start neap without set-user-ID bit and file capabilities",
    )
}

/// Libraries that are loaded into every program already.
fn others() -> Check {
    let mut text = env::var_os("LD_PRELOAD").unwrap_or_default();
    text.push(" ");
    let file = fs::read("/etc/ld.so.preload").unwrap_or_default();
    text.push(OsStr::from_bytes(&file));
    let separators = |byte: &u8| byte.is_ascii_whitespace() || *byte == b':';
    let words: Vec<&Path> = text
        .as_bytes()
        .split(separators)
        .filter(|word| !word.is_empty())
        .map(|word| Path::new(OsStr::from_bytes(word)))
        .collect();
    let allocator = words.iter().find(|path| {
        let facts = File::open(path).and_then(|file| Elf::read(&file)).ok().flatten();
        facts.is_some_and(|facts| facts.defines("malloc"))
    });
    let (status, found) = match (allocator, words.first()) {
        (Some(path), _) => (Status::Limited, format!("{} brings a malloc", path.display())),
        (None, Some(path)) => (Status::Ok, format!("{} and it brings no malloc", path.display())),
        (None, None) => (Status::Ok, "none".to_owned()),
    };
    Check::optional("other preloads", status, found).costs(
        "neap run puts libneap.so before it; without neap run that one serves malloc",
        "take it out of LD_PRELOAD or /etc/ld.so.preload",
    )
}

fn options() -> Check {
    let set: Vec<String> = env::vars_os()
        .filter(|(name, _)| name.as_bytes().starts_with(b"NEAP_") && name != "NEAP_LIB")
        .map(|(name, value)| format!("{}={}", name.display(), value.display()))
        .collect();
    let off = set.iter().any(|option| option == "NEAP_HELPER=off");
    let found = if set.is_empty() {
        "none set".to_owned()
    } else {
        set.join(" ")
    };
    let status = if off { Status::Limited } else { Status::Ok };
    Check::optional("options", status, found).costs(
        "an idle program gives nothing back until it calls malloc or free again",
        "unset NEAP_HELPER",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::burst::{Burst, Seen};

    fn status(last_bytes: u64, counted: Option<(u64, u64)>) -> Status {
        let burst = Burst {
            first_bytes: 4 << 20,
            peak_bytes: 68 << 20,
            last_bytes,
            waited_ns: 1,
        };
        judge(&Seen { burst, counted }).0
    }

    #[test]
    fn only_a_burst_that_fell_by_the_helper_is_ok() {
        assert_eq!(status(5 << 20, Some((1, 1))), Status::Ok);
        assert_eq!(status(5 << 20, Some((1, 0))), Status::Limited);
        assert_eq!(status(60 << 20, Some((0, 1))), Status::Limited);
        assert_eq!(
            status(5 << 20, None),
            Status::Unknown,
            "nobody knows who gave it back"
        );
    }
}
