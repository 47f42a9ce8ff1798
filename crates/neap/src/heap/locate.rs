//! [`Inside`]: the heap of one process, found by the note of a file that is mapped there.
//!
//! Looks at libneap.so first (any file with "neap" in its name), then at the program, then at whatever else is
//! mapped. A file is read where it still is what was mapped, by device and inode; if not (deleted, another mount
//! namespace, a file system that numbers otherwise), its headers are read from the process's memory.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use neap_proc::parse::{Mapping, Maps, Name};
use neap_proc::read::Proc;
use neap_proc::{Reading, Reason};
use rustix::fs::{major, minor};

use super::Why;
use super::elf::{self, Image, Note};
use super::layout::Layout;
use super::memory::{Memory, ProcessMemory};

/// A heap in another process.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(super) proc: Proc,
    pub(super) pid: u32,
    pub(super) maps: Maps,
    /// The address of the anchor.
    anchor: u64,
    /// Where the file that has the heap is mapped.
    pub(super) file: String,
    pub(super) memory: Result<ProcessMemory, Why>,
}

impl Inside {
    /// The heap of process `pid`. Takes the right to see its mappings only; what looks further says itself
    /// when it may not.
    ///
    /// # Errors
    /// [`Why`].
    pub(crate) fn find(proc: &Proc, pid: u32) -> Result<Inside, Why> {
        let maps = match proc.maps(pid) {
            Reading::Value(maps) => maps,
            Reading::Denied => return Err(Why::denied()),
            Reading::Absent(Reason::Gone) => return Err(Why::Gone),
            Reading::Absent(Reason::NoMemory) => return Err(Why::NotThere),
            Reading::Absent(reason) => return Err(Why::Failed(format!("its mappings: {reason}"))),
        };
        let memory = ProcessMemory::open(proc, pid);
        let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
        let program = program.as_ref().and_then(|path| path.to_str());
        let mut firsts: Vec<&Mapping> = maps.mappings.iter().filter(|m| is_first(m)).collect();
        firsts.sort_by_key(|mapping| rank(mapping, program));
        for mapping in firsts {
            let Some(note) = noted(pid, mapping, memory.as_ref().ok()) else {
                continue;
            };
            if !elf::is_known(&note) {
                return Err(Why::Version(note.version));
            }
            return Ok(Inside {
                anchor: mapping.start.wrapping_add(note.anchor.wrapping_sub(note.first)),
                file: path(mapping).unwrap_or_default().to_owned(),
                proc: proc.clone(),
                pid,
                maps,
                memory,
            });
        }
        let old = maps.mappings.iter().any(|m| path(m).is_some_and(is_library));
        Err(if old { Why::Version(0) } else { Why::NotThere })
    }

    /// The file that has the heap: libneap.so, or the program.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// The process's memory.
    pub(super) fn memory(&self) -> Result<&ProcessMemory, Why> {
        self.memory.as_ref().map_err(Clone::clone)
    }

    /// Where the records are; `None` as long as the program has not begun.
    pub(super) fn layout(&self) -> Result<Option<Layout>, Why> {
        let memory = self.memory()?;
        match Layout::read(memory, self.anchor) {
            Some(layout) => Ok(Some(layout)),
            None if memory.word(self.anchor).is_some() => Ok(None),
            None => Err(memory.failure()),
        }
    }
}

/// Whether the mapping may begin an ELF image. A device never does, and looking at /dev/zero would put a page there.
fn is_first(mapping: &Mapping) -> bool {
    let is_image = |path: &str| !path.starts_with("/dev/");
    let private = mapping.read && !mapping.shared;
    mapping.offset == 0 && mapping.inode != 0 && private && path(mapping).is_some_and(is_image)
}

fn path(mapping: &Mapping) -> Option<&str> {
    match &mapping.name {
        Name::File { path, .. } => Some(path),
        _ => None,
    }
}

fn is_library(path: &str) -> bool {
    path.rsplit('/')
        .next()
        .is_some_and(|name| name.starts_with("libneap.so"))
}

fn rank(mapping: &Mapping, program: Option<&str>) -> u8 {
    match path(mapping) {
        Some(path) if path.contains("neap") => 0,
        path if path == program => 1,
        _ => 2,
    }
}

/// The note of the file that `mapping` begins.
fn noted(pid: u32, mapping: &Mapping, memory: Option<&ProcessMemory>) -> Option<Note> {
    if let Some((file, identity)) = same_file(pid, mapping) {
        return known(identity, || elf::note(&file));
    }
    let start = mapping.start;
    elf::note(&Mapped {
        memory: memory?,
        start,
    })
}

/// A file's device, inode, and time of its last change: as long as they stay, so do its notes.
type Identity = (u64, u64, i64, i64);

/// Programs have tens of libraries, and machines hundreds of programs with the same ones.
fn known(identity: Identity, read: impl FnOnce() -> Option<Note>) -> Option<Note> {
    static KNOWN: Mutex<Option<HashMap<Identity, Option<Note>>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *known.get_or_insert_default().entry(identity).or_insert_with(read)
}

/// The file that is mapped, opened, if it can still be had.
fn same_file(pid: u32, mapping: &Mapping) -> Option<(File, Identity)> {
    let (start, end) = (mapping.start, mapping.end);
    let by_address = PathBuf::from(format!("/proc/{pid}/map_files/{start:x}-{end:x}"));
    let by_name = PathBuf::from(format!("/proc/{pid}/root{}", path(mapping)?));
    [by_address, by_name].into_iter().find_map(|path| {
        // Opening a device or a pipe could have effects, or wait.
        let status = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
        let device = (u64::from(major(status.dev())), u64::from(minor(status.dev())));
        if device != mapping.device || status.ino() != mapping.inode {
            return None;
        }
        let identity = (status.dev(), status.ino(), status.ctime(), status.ctime_nsec());
        Some((File::open(&path).ok()?, identity))
    })
}

impl Image for File {
    fn piece(&self, offset: u64, _: u64, bytes: usize) -> Option<Vec<u8>> {
        let mut piece = vec![0; bytes];
        let len = self.read_at(&mut piece, offset).ok()?;
        piece.truncate(len);
        Some(piece)
    }
}

/// An image as it is mapped.
struct Mapped<'a> {
    memory: &'a ProcessMemory,
    start: u64,
}

impl Image for Mapped<'_> {
    fn piece(&self, _: u64, address: u64, bytes: usize) -> Option<Vec<u8>> {
        let mut piece = vec![0; bytes];
        // Headers and notes share the file's first pages with what the loader reads.
        let whole = self.memory.read(self.start.checked_add(address)?, &mut piece);
        whole.then_some(piece)
    }
}
