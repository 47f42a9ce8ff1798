//! Walks the selection: files one after the other, opened, and what is left out with its reason.
//!
//! Memory is bounded: one folder's open handle for each level, and the numbers of files that could be met
//! again. A file is opened without waiting (a FIFO would), and what was opened decides what it is, not what
//! the folder said: names change under a walk. What goes away meanwhile has vanished, which is no failure.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, openat};
use walkdir::WalkDir;

use super::selection::{Devices, Links, Selection};

/// A regular file, open for reading.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) len: u64,
    pub(crate) identity: Identity,
}

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// Why something was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Left {
    Link,
    Fifo,
    Socket,
    CharacterDevice,
    BlockDevice,
    Unknown,
    Excluded,
    TooSmall,
    TooLarge,
    /// The same file under another name.
    Again,
}

impl Left {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Left::Link => "symbolic link",
            Left::Fifo => "fifo",
            Left::Socket => "socket",
            Left::CharacterDevice => "character device",
            Left::BlockDevice => "block device",
            Left::Unknown => "unknown kind",
            Left::Excluded => "excluded",
            Left::TooSmall => "too small",
            Left::TooLarge => "too large",
            Left::Again => "hard link to a file that was counted",
        }
    }
}

/// Why a file could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Denied,
    /// It was there a moment ago.
    Vanished,
    /// There is no such path.
    Missing,
    Failed(String),
}

impl Trouble {
    pub(crate) fn of(error: &io::Error) -> Trouble {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Trouble::Denied,
            io::ErrorKind::NotFound => Trouble::Vanished,
            _ => Trouble::Failed(error.to_string()),
        }
    }

    pub(crate) fn sentence(&self) -> String {
        match self {
            Trouble::Denied => "permission denied".to_owned(),
            Trouble::Vanished => "vanished meanwhile".to_owned(),
            Trouble::Missing => "no such file or folder".to_owned(),
            Trouble::Failed(error) => error.clone(),
        }
    }
}

/// What a walk comes to.
pub(crate) enum Met {
    Folder,
    File(Opened),
    Left(PathBuf, Left),
    Trouble(PathBuf, Trouble),
}

/// Tells `take` of everything in the selection, in the order of the folders.
pub(crate) fn walk(selection: &Selection, mut take: impl FnMut(Met)) {
    let mut seen = Seen::new(selection);
    for path in &selection.paths {
        below(selection, path, &mut seen, &mut take);
    }
}

fn below(selection: &Selection, start: &Path, seen: &mut Seen, take: &mut impl FnMut(Met)) {
    let follows = selection.links == Links::Followed;
    let mut walker = WalkDir::new(start)
        .follow_links(follows)
        .follow_root_links(follows)
        .same_file_system(selection.devices == Devices::One)
        .into_iter();
    while let Some(entry) = walker.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().unwrap_or(start).to_owned();
                let trouble = match error.io_error() {
                    Some(io) if io.kind() == io::ErrorKind::NotFound && error.depth() == 0 => {
                        Trouble::Missing
                    }
                    Some(io) => Trouble::of(io),
                    None => Trouble::Failed("a link leads back to a folder above it".to_owned()),
                };
                take(Met::Trouble(path, trouble));
                continue;
            }
        };
        // What was named is meant, whatever the patterns.
        let is_excluded = entry.depth() > 0 && selection.excluded.matches(entry.path());
        let kind = entry.file_type();
        if is_excluded {
            if kind.is_dir() {
                walker.skip_current_dir();
            }
            take(Met::Left(entry.into_path(), Left::Excluded));
        } else if kind.is_dir() {
            take(Met::Folder);
        } else {
            let path = entry.into_path();
            take(match special(FileType::from_raw_mode(mode_of(kind))) {
                Some(left) => Met::Left(path, left),
                None => open(selection, path, seen),
            });
        }
    }
}

/// The type bits of a mode, as far as a folder's entry tells them.
fn mode_of(kind: std::fs::FileType) -> u32 {
    use std::os::unix::fs::FileTypeExt;
    let kind = if kind.is_file() {
        FileType::RegularFile
    } else if kind.is_symlink() {
        FileType::Symlink
    } else if kind.is_fifo() {
        FileType::Fifo
    } else if kind.is_socket() {
        FileType::Socket
    } else if kind.is_char_device() {
        FileType::CharacterDevice
    } else if kind.is_block_device() {
        FileType::BlockDevice
    } else {
        FileType::Unknown
    };
    kind.as_raw_mode()
}

/// What is no regular file.
fn special(kind: FileType) -> Option<Left> {
    match kind {
        FileType::RegularFile => None,
        FileType::Symlink => Some(Left::Link),
        FileType::Fifo => Some(Left::Fifo),
        FileType::Socket => Some(Left::Socket),
        FileType::CharacterDevice => Some(Left::CharacterDevice),
        FileType::BlockDevice => Some(Left::BlockDevice),
        FileType::Directory | FileType::Unknown => Some(Left::Unknown),
    }
}

fn open(selection: &Selection, path: PathBuf, seen: &mut Seen) -> Met {
    let (file, about) = match opened(&path, selection.links) {
        Ok(both) => both,
        // A link was put where a file was.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Met::Left(path, Left::Link);
        }
        Err(error) => {
            let trouble = Trouble::of(&error);
            return Met::Trouble(path, trouble);
        }
    };
    if let Some(left) = special(FileType::from_raw_mode(about.mode())) {
        return Met::Left(path, left);
    }
    let len = about.len();
    if selection.sizes.least.is_some_and(|least| len < least) {
        return Met::Left(path, Left::TooSmall);
    }
    if selection.sizes.most.is_some_and(|most| len > most) {
        return Met::Left(path, Left::TooLarge);
    }
    let identity = Identity::of(&about);
    if seen.is_again(&about, identity) {
        return Met::Left(path, Left::Again);
    }
    Met::File(Opened {
        path,
        file,
        len,
        identity,
    })
}

fn opened(path: &Path, links: Links) -> io::Result<(File, Metadata)> {
    let nofollow = match links {
        Links::Skipped => OFlags::NOFOLLOW,
        Links::Followed => OFlags::empty(),
    };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY | nofollow;
    let file = File::from(openat(CWD, path, flags, Mode::empty())?);
    let about = file.metadata()?;
    Ok((file, about))
}

/// A file that was met, once more; `None` when its name leads to another one now.
pub(crate) fn reopen(path: &Path, identity: Identity) -> Option<File> {
    let (file, about) = opened(path, Links::Followed).ok()?;
    (Identity::of(&about) == identity).then_some(file)
}

impl Identity {
    fn of(about: &Metadata) -> Identity {
        Identity {
            device: about.dev(),
            inode: about.ino(),
        }
    }
}

/// Files that were met and could be met again.
struct Seen {
    files: HashSet<Identity>,
    /// Whether a file with one name can be met twice.
    all: Again,
}

/// Which files can be met twice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// Those with several names.
    Linked,
    /// All: paths may overlap, links may lead to them.
    Any,
}

impl Seen {
    fn new(selection: &Selection) -> Seen {
        let several = selection.paths.len() > 1 || selection.links == Links::Followed;
        Seen {
            files: HashSet::new(),
            all: if several { Again::Any } else { Again::Linked },
        }
    }

    fn is_again(&mut self, about: &Metadata, identity: Identity) -> bool {
        let matters = self.all == Again::Any || about.nlink() > 1;
        matters && !self.files.insert(identity)
    }
}
