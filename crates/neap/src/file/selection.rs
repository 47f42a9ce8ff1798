//! Which files are meant, and which part of each.
//!
//! A path names a file or a folder with all below it. Links are not followed unless that was asked for; a
//! file that was met under another name (a hard link, or two paths that overlap) is taken once.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use globset::{Glob, GlobSet, GlobSetBuilder};

/// What a walk takes.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) links: Links,
    pub(crate) devices: Devices,
    pub(crate) sizes: Sizes,
    pub(crate) excluded: Globs,
    /// Of each file; `None`: all of it.
    pub(crate) range: Option<Bytes>,
}

/// What becomes of symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    Skipped,
    Followed,
}

/// Where a walk may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Devices {
    All,
    /// Only the file system of the path it starts from.
    One,
}

/// Bounds on the size of a file, in bytes; both belong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) least: Option<u64>,
    pub(crate) most: Option<u64>,
}

/// Patterns of paths.
#[derive(Debug)]
pub(crate) struct Globs(GlobSet);

impl Globs {
    /// `*` matches slashes, too.
    pub(crate) fn new(patterns: &[String]) -> Result<Globs, String> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let glob = Glob::new(pattern).map_err(|error| error.to_string())?;
            set.add(glob);
        }
        set.build().map(Globs).map_err(|error| error.to_string())
    }

    /// Whether one of them matches the path or its last part.
    pub(crate) fn matches(&self, path: &Path) -> bool {
        let name = path.file_name().map(Path::new);
        self.0.is_match(path) || name.is_some_and(|name| self.0.is_match(name))
    }
}

/// Bytes of a file, from the first to before the last; `None`: to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes {
    pub(crate) from: u64,
    pub(crate) to: Option<u64>,
}

impl Bytes {
    /// `4K-1M`, `1M-` to the end, `1M` from the start: binary units as everywhere.
    pub(crate) fn parse(text: &str) -> Result<Bytes, String> {
        let number = |text: &str| match text.trim() {
            "" | "0" => Ok(0),
            other => crate::unit::parse_size(other),
        };
        let Some((from, to)) = text.split_once('-') else {
            return Ok(Bytes {
                from: 0,
                to: Some(crate::unit::parse_size(text)?),
            });
        };
        let to = match to.trim() {
            "" => None,
            to => Some(number(to)?),
        };
        let from = number(from)?;
        if to.is_some_and(|to| to <= from) {
            return Err(format!("`{text}` ends before it starts; write e.g. 4K-1M"));
        }
        Ok(Bytes { from, to })
    }
}

/// The whole pages of a file of `len` bytes that hold a byte of `range`, as bytes. Empty when there is none.
pub(crate) fn pages_of(len: u64, range: Option<Bytes>, page_bytes: u64) -> Range<u64> {
    let whole = Bytes { from: 0, to: None };
    let Bytes { from, to } = range.unwrap_or(whole);
    let end = to.map_or(len, |to| to.min(len));
    if from >= end {
        return 0..0;
    }
    let start = from - from % page_bytes;
    start..end.div_ceil(page_bytes).saturating_mul(page_bytes)
}

/// What ends each path in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    Line,
    Null,
}

/// The paths in a file, or on standard input for `-`. Empty lines are none.
pub(crate) fn listed(list: &Path, ends: Ends) -> io::Result<Vec<PathBuf>> {
    let mut bytes = Vec::new();
    if list == Path::new("-") {
        io::stdin().lock().read_to_end(&mut bytes)?;
    } else {
        File::open(list)?.read_to_end(&mut bytes)?;
    }
    let end = match ends {
        Ends::Line => b'\n',
        Ends::Null => 0,
    };
    let names = bytes.split(|&byte| byte == end).filter(|name| !name.is_empty());
    Ok(names
        .map(|name| PathBuf::from(OsString::from_vec(name.to_vec())))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_cover_whole_pages() {
        let parse = |text| Bytes::parse(text).unwrap();
        assert_eq!(
            parse("4K-1M"),
            Bytes {
                from: 4096,
                to: Some(1 << 20)
            }
        );
        assert_eq!(
            parse("0-10"),
            Bytes {
                from: 0,
                to: Some(10)
            }
        );
        assert_eq!(
            parse("1M-"),
            Bytes {
                from: 1 << 20,
                to: None
            }
        );
        assert_eq!(
            parse("8k"),
            Bytes {
                from: 0,
                to: Some(8192)
            }
        );
        for wrong in ["", "-", "5-5", "9-4", "x-1", "1-x"] {
            assert!(Bytes::parse(wrong).is_err() || wrong == "-", "{wrong}");
        }
        assert_eq!(pages_of(10_000, None, 4096), 0..12_288);
        assert_eq!(pages_of(0, None, 4096), 0..0);
        assert_eq!(pages_of(10_000, Some(parse("5000-5001")), 4096), 4096..8192);
        assert_eq!(pages_of(10_000, Some(parse("9000-1M")), 4096), 8192..12_288);
        assert_eq!(pages_of(10_000, Some(parse("10000-")), 4096), 0..0);
    }

    #[test]
    fn patterns_match_paths_and_names() {
        let globs = Globs::new(&["*.o".to_owned(), "target".to_owned(), "/a/*/c".to_owned()]).unwrap();
        let is = |path: &str| globs.matches(Path::new(path));
        assert!(is("x/y.o") && is("x/target") && is("/a/b/c"));
        assert!(!is("x/y.c") && !is("targets"));
        assert!(Globs::new(&["[".to_owned()]).is_err());
    }
}
