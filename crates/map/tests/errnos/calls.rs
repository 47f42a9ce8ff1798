//! munmap, mprotect, mremap, mlock, msync, and accesses.

use crate::child::{become_nobody, limit};
use crate::mapping::{cases, use_up_the_map_count};
use crate::memory::{PAGE, apart, file_of};
use crate::{Case, Outcome, said, skipped};
use neap_map::lock::When;
use neap_map::{Anon, Errno, Error, Feature, FileMap, Guards, Kind, Operation};

/// Unmaps behind a map's back what is its own.
pub(crate) fn make_a_hole(address: *const u8, pages: usize) {
    // SAFETY: a case's child accesses the pages no more but through calls that say so.
    let unmapped = unsafe { libc::munmap(address.cast_mut().cast(), pages * PAGE) };
    assert_eq!(unmapped, 0);
}

fn split_at_the_limit(answer: impl FnOnce(neap_map::Map<neap_map::view::Owned>) -> Outcome) -> Outcome {
    let map = apart(64 * PAGE);
    use_up_the_map_count();
    answer(map)
}

/// A mapping at each side of a page that is mapped, too: the page cannot grow.
fn walled_in() -> neap_map::Map<neap_map::view::Owned> {
    let mut map = Anon::private(3 * PAGE).guards(Guards::Both).map().unwrap();
    let mut middle = map.split_off(PAGE).unwrap();
    std::mem::forget((map, middle.split_off(PAGE).unwrap()));
    middle
}

fn read_past_the_end() -> Error {
    let file = file_of(2 * PAGE);
    let map = FileMap::of(&file).map().unwrap();
    file.set_len(PAGE as u64).unwrap();
    map.read_at(100, &mut [0; 2 * PAGE - 100]).unwrap_err()
}

pub(crate) const CASES: &[Case] = cases! {
    "munmap: a part that starts within a page", None, Kind::Unaligned, Operation::Split, 100..101, || {
        said(apart(4 * PAGE).unmap_range(100..2 * PAGE))
    };
    "munmap: bytes that the map has not", None, Kind::OutOfRange, Operation::Unmap, 4096..20480, || {
        said(apart(4 * PAGE).unmap_range(PAGE..5 * PAGE))
    };
    "munmap: the middle, at vm.max_map_count", Some(Errno::ENOMEM), Kind::MapCountExhausted, Operation::Unmap,
        0..4096, || split_at_the_limit(|map| said(map.unmap_range(PAGE..2 * PAGE)));
    "mprotect: writable, a file opened for reading",
        Some(Errno::EACCES), Kind::AccessDenied, Operation::Protect,
        0..4096, || {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4096).unwrap();
        let reader = std::fs::File::open(file.path()).unwrap();
        said(FileMap::of(&reader).map().unwrap().into_writable())
    };
    "mremap: grow in place against a neighbour", Some(Errno::ENOMEM), Kind::Occupied, Operation::Resize,
        0..8192, || said(walled_in().resize(2 * PAGE));
    "mremap: grow past RLIMIT_AS", Some(Errno::ENOMEM), Kind::AddressSpaceLimit, Operation::Resize,
        0..1 << 32, || {
        let mut map = Anon::private(PAGE).map().unwrap();
        limit(libc::RLIMIT_AS, 1 << 32);
        said(map.resize_moving(1 << 32))
    };
    "mremap: grow past RLIMIT_DATA", Some(Errno::ENOMEM), Kind::DataLimit, Operation::Resize, 0..1 << 30, || {
        let mut map = Anon::private(PAGE).map().unwrap();
        limit(libc::RLIMIT_DATA, 1 << 30);
        said(map.resize_moving(1 << 30))
    };
    "mremap: grow locked memory past RLIMIT_MEMLOCK",
        Some(Errno::EAGAIN), Kind::MemlockLimit, Operation::Resize,
        0..1 << 20, || {
        limit(libc::RLIMIT_MEMLOCK, 1 << 16);
        become_nobody();
        let mut map = Anon::private(PAGE).locked().map().unwrap();
        said(map.resize_moving(1 << 20))
    };
    "mlock: above RLIMIT_MEMLOCK", Some(Errno::ENOMEM), Kind::MemlockLimit, Operation::Lock, 0..1 << 20, || {
        limit(libc::RLIMIT_MEMLOCK, 1 << 16);
        become_nobody();
        said(Anon::private(1 << 20).map().unwrap().lock(.., When::Now))
    };
    "mlock: RLIMIT_MEMLOCK is 0", Some(Errno::EPERM), Kind::MemlockLimit, Operation::Lock, 0..4096, || {
        limit(libc::RLIMIT_MEMLOCK, 0);
        become_nobody();
        said(Anon::private(PAGE).map().unwrap().lock(.., When::Now))
    };
    "mlock: a hole", Some(Errno::ENOMEM), Kind::NotMapped, Operation::Lock, 0..16384, || {
        let map = apart(4 * PAGE);
        make_a_hole(map.as_ptr().wrapping_add(PAGE), 1);
        said(map.lock(.., When::Now))
    };
    "mlock: past the end of the file",
        Some(Errno::ENOMEM), Kind::PageUnavailable, Operation::Lock, 0..16384, || {
        let file = file_of(PAGE);
        said(FileMap::of(&file).range(..16384).map().unwrap().lock(.., When::Now))
    };
    "mlock: the middle, at vm.max_map_count", Some(Errno::ENOMEM), Kind::MapCountExhausted, Operation::Lock,
        4096..8192, || split_at_the_limit(|map| said(map.lock(PAGE..2 * PAGE, When::Now)));
    "msync: a hole", Some(Errno::ENOMEM), Kind::NotMapped, Operation::Flush, 0..16384, || {
        let file = file_of(4 * PAGE);
        let map = FileMap::of(&file).writable().map().unwrap();
        make_a_hole(map.as_ptr().wrapping_add(PAGE), 1);
        said(map.flush(..))
    };
    "msync: MS_INVALIDATE of locked memory",
        Some(Errno::EBUSY), Kind::Locked, Operation::Invalidate, 0..8192, || {
        let file = file_of(2 * PAGE);
        let map = FileMap::of(&file).map().unwrap();
        match map.lock(..PAGE, When::Now) {
            Ok(_locked) => said(map.invalidate(..)),
            Err(error) => skipped(error.to_string()),
        }
    };
    "sync_file_range: a file that is a pipe",
        Some(Errno::ESPIPE), Kind::NotMappable, Operation::StartWriteback,
        0..4096, || {
        let (reader, _writer) = std::io::pipe().unwrap();
        let map = FileMap::of(&file_of(PAGE)).map().unwrap();
        said(map.start_writeback(&reader, ..))
    };
    "SIGBUS: the file was cut short", None, Kind::FileTooShort, Operation::Read, 4096..8192, || {
        match read_past_the_end() {
            error if error.kind() == Kind::PageUnavailable => {
                skipped("takes the right to look up mapped files")
            }
            error => Outcome::Said(error),
        }
    };
    "SIGBUS: the same, without the right to look up mapped files",
        None, Kind::PageUnavailable, Operation::Read,
        4096..8192, || {
        become_nobody();
        Outcome::Said(read_past_the_end())
    };
    "SIGSEGV: a guard", None, Kind::Inaccessible, Operation::Write, 4096..4098, || {
        let map = Anon::shared(2 * PAGE).map().unwrap();
        match map.guard(PAGE..) {
            Ok(()) => said(map.write_at(PAGE - 2, &[1; 4])),
            Err(error) if error.kind() == Kind::Unsupported(Feature::Guard) => skipped(error.to_string()),
            Err(error) => panic!("{error}"),
        }
    };
    "SIGSEGV: nothing is mapped", None, Kind::NotMapped, Operation::Read, 0..1, || {
        let map = Anon::shared(PAGE).map().unwrap();
        make_a_hole(map.as_ptr(), 1);
        said(map.read::<u8>(0))
    };
};
