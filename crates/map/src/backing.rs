//! What lies behind an address that could not be accessed: why there was no page.
//!
//! SIGBUS does not say. On the error's path only, this module finds the mapping in /proc/self/maps and asks
//! its file: /proc/self/map_files leads to the very file, if the process may follow it (CAP_SYS_ADMIN or
//! CAP_CHECKPOINT_RESTORE); otherwise the path does, if what it leads to now has the same device and inode.
//! Never opens anything but regular files, never writes. Where it cannot know it says
//! [`Kind::PageUnavailable`]; what it finds is true of the moment after the fault.

use crate::error::Kind;
use crate::operation::Operation;
use neap_os::env::page_size;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs;
use std::os::fd::OwnedFd;

const HUGETLBFS: i64 = 0x9584_58f6;
const TMPFS: i64 = 0x0102_1994;

/// A line of /proc/self/maps.
#[derive(PartialEq, Eq, Debug)]
struct Mapping<'t> {
    start: usize,
    end: usize,
    rights: &'t str,
    offset: u64,
    device: (u32, u32),
    inode: u64,
    path: &'t str,
}

fn parsed(line: &str) -> Option<Mapping<'_>> {
    fn hex<T: TryFrom<u64>>(text: &str) -> Option<T> {
        u64::from_str_radix(text, 16).ok()?.try_into().ok()
    }
    // The path may hold spaces, and is what remains.
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let rights = fields.next()?;
    let offset = hex(fields.next()?)?;
    let (major, minor) = fields.next()?.split_once(':')?;
    Some(Mapping {
        start: hex(start)?,
        end: hex(end)?,
        rights,
        offset,
        device: (hex(major)?, hex(minor)?),
        inode: fields.next()?.parse().ok()?,
        path: fields.next().unwrap_or_default().trim_start(),
    })
}

fn find(maps: &str, address: usize) -> Option<Mapping<'_>> {
    maps.lines()
        .filter_map(parsed)
        .find(|mapping| (mapping.start..mapping.end).contains(&address))
}

/// Whether anything is mapped there. Where /proc cannot be read, it counts as mapped.
pub(crate) fn is_mapped(address: usize) -> bool {
    fs::read_to_string("/proc/self/maps").map_or(true, |maps| find(&maps, address).is_some())
}

/// Why an access was SIGBUS.
pub(crate) fn why_unavailable(operation: Operation, address: usize) -> Kind {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    match find(&maps, address) {
        Some(mapping) => of_mapping(operation, address, &mapping),
        None => Kind::PageUnavailable,
    }
}

/// Why the kernel could not access it for us: SIGBUS or SIGSEGV.
pub(crate) fn why_refused(operation: Operation, address: usize) -> Kind {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else {
        return Kind::PageUnavailable;
    };
    let right = if operation == Operation::Write { 'w' } else { 'r' };
    match find(&maps, address) {
        None => Kind::NotMapped,
        Some(mapping) if !mapping.rights.contains(right) => Kind::Inaccessible,
        Some(mapping) => of_mapping(operation, address, &mapping),
    }
}

fn of_mapping(operation: Operation, address: usize, mapping: &Mapping<'_>) -> Kind {
    if mapping.path.starts_with("/anon_hugepage") {
        return Kind::HugePoolEmpty;
    }
    let Some(file) = opened(mapping) else {
        return Kind::PageUnavailable;
    };
    of_file(
        operation,
        mapping.offset + (address - mapping.start) as u64,
        &file,
    )
    .unwrap_or(Kind::PageUnavailable)
}

/// The mapping's file, if it is a regular one that can still be reached.
fn opened(mapping: &Mapping<'_>) -> Option<OwnedFd> {
    if mapping.inode == 0 {
        return None;
    }
    let very = format!("/proc/self/map_files/{:x}-{:x}", mapping.start, mapping.end);
    [very.as_str(), mapping.path].into_iter().find_map(|path| {
        // Opening for real can have effects, on devices for one: look first, through a descriptor that only
        // names the file.
        let named = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let stat = rustix::fs::fstat(&named).ok()?;
        let device = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
        let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let is_it = path == very || (stat.st_ino == mapping.inode && device == mapping.device);
        (is_regular && is_it).then_some(named)
    })
}

fn of_file(operation: Operation, offset: u64, named: &OwnedFd) -> Option<Kind> {
    let stat = rustix::fs::fstat(named).ok()?;
    let system = rustix::fs::fstatfs(named).ok()?;
    let is_huge = system.f_type == HUGETLBFS;
    let page = if is_huge {
        u64::try_from(system.f_bsize).ok()?
    } else {
        page_size() as u64
    };
    let end = u64::try_from(stat.st_size).ok()?.next_multiple_of(page);
    if offset >= end {
        return Some(Kind::FileTooShort);
    }
    if is_huge {
        return Some(Kind::HugePoolEmpty);
    }
    // A tmpfs needs a page even for a hole that is read. One without a limit counts no blocks at all.
    let needs_space = operation == Operation::Write || system.f_type == TMPFS;
    if needs_space && system.f_blocks > 0 && system.f_bavail == 0 {
        return Some(Kind::StorageFull);
    }
    read_again(offset, named)
}

/// Whether the file system says of the byte what the signal could not.
fn read_again(offset: u64, named: &OwnedFd) -> Option<Kind> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", named.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    match rustix::io::pread(&file, &mut [0], offset) {
        Ok(0) => Some(Kind::FileTooShort),
        Err(Errno::IO) => Some(Kind::Io),
        Err(Errno::HWPOISON) => Some(Kind::HardwareFailure),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Mapping, find};

    #[test]
    fn a_line_is_read() {
        let maps = "00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/a b (deleted)\n\
                    7f0000000000-7f0000001000 rw-s 0001f000 00:1c 9 \n\
                    7fffb2c0d000-7fffb2c2e000 rw-p 00000000 00:00 0                          [stack]\n";
        let expected = Mapping {
            start: 0x40_0000,
            end: 0x45_2000,
            rights: "r-xp",
            offset: 0,
            device: (8, 2),
            inode: 173_521,
            path: "/usr/bin/a b (deleted)",
        };
        assert_eq!(find(maps, 0x45_1fff), Some(expected));
        assert_eq!(find(maps, 0x45_2000), None);
        assert_eq!(find(maps, 0x7f00_0000_0000).unwrap().offset, 0x1f000);
        assert_eq!(find(maps, 0x7fff_b2c0_d000).unwrap().path, "[stack]");
    }
}
