//! madvise, process_madvise, mincore.

use crate::calls::make_a_hole;
use crate::mapping::{cases, mounted, use_up_the_map_count};
use crate::memory::{HUGE, PAGE, apart, file_of};
use crate::{Case, Outcome, said, skipped};
use neap_map::lock::When;
use neap_map::view::{Owned, VolatileMut};
use neap_map::{
    Anon, AtFork, Discard, Errno, Error, Feature, FileMap, Guards, Hint, HugePage, Kind, Map, Operation,
    Process,
};

const ADVISE: Operation = Operation::Advise;
const DISCARD: Operation = Operation::Discard;

fn locked(len: usize) -> Map<Owned> {
    Anon::private(len)
        .align(HUGE)
        .locked()
        .guards(Guards::Both)
        .map()
        .unwrap()
}

fn of_locked(hint: Hint) -> Outcome {
    if !hint.is_supported() {
        return skipped("a newer kernel's");
    }
    said(locked(HUGE).hint(.., hint))
}

/// A map of the hugetlb pool that takes no page from it.
fn of_the_pool(advise: impl FnOnce(Map<VolatileMut>) -> Result<(), Error>) -> Outcome {
    match Anon::shared(HUGE).huge(HugePage::MIB_2).no_reserve().map() {
        Ok(map) => said(advise(map)),
        Err(error) => skipped(error.to_string()),
    }
}

fn seal_read_only() -> Outcome {
    let map = apart(PAGE).into_read_only().unwrap();
    match map.sealed() {
        // SAFETY: (1) the bytes are zeros, and stay so.
        Ok(map) => said(unsafe { map.discard_unchecked(.., Discard::DontNeed) }),
        Err(refused) => skipped(refused.error().to_string()),
    }
}

fn ended_process() -> Outcome {
    let pid = crate::child::start(|| {});
    let process = Process::open(pid.cast_unsigned()).unwrap();
    assert_eq!(crate::child::end(pid), crate::child::End::Exited(0));
    said(process.hint(std::slice::from_ref(&(4096..8192)), Hint::Cold))
}

pub(crate) const CASES: &[Case] = cases! {
    "madvise: bytes that the map has not", None, Kind::OutOfRange, ADVISE, 4096..20480, || {
        said(apart(4 * PAGE).hint(PAGE..5 * PAGE, Hint::Cold))
    };
    "madvise: a guard that starts within a page", None, Kind::Unaligned, Operation::Guard, 1..8192, || {
        said(Anon::shared(2 * PAGE).map().unwrap().guard(1..))
    };
    "madvise: MADV_REMOVE of a private file map",
        Some(Errno::EACCES), Kind::AccessDenied, DISCARD, 0..4096, || {
        said(FileMap::of(&file_of(PAGE)).copy_on_write().map().unwrap().punch(..))
    };
    "madvise: MADV_REMOVE of a shared map for reading",
        Some(Errno::EACCES), Kind::AccessDenied, DISCARD, 0..4096,
        || {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4096).unwrap();
        let map = FileMap::of(&std::fs::File::open(file.path()).unwrap()).map().unwrap();
        // SAFETY: (1) the view lends no references.
        said(unsafe { map.discard_unchecked(.., Discard::Remove) })
    };
    "madvise: MADV_REMOVE of private anonymous memory",
        Some(Errno::EINVAL), Kind::Invalid, DISCARD, 0..4096, || {
        said(apart(PAGE).free(..).unwrap().punch(..))
    };
    "madvise: MADV_RANDOM at vm.max_map_count", Some(Errno::EAGAIN), Kind::MapCountExhausted, ADVISE,
        4096..8192, || {
        let map = apart(3 * PAGE);
        use_up_the_map_count();
        said(map.hint(PAGE..2 * PAGE, Hint::Random))
    };
    "madvise: MADV_DONTFORK at vm.max_map_count", Some(Errno::EAGAIN), Kind::MapCountExhausted, ADVISE,
        4096..8192, || {
        let map = apart(3 * PAGE);
        use_up_the_map_count();
        // SAFETY: (1) this process has no children.
        said(unsafe { map.at_fork(PAGE..2 * PAGE, AtFork::Omit) })
    };
    "madvise: MADV_DONTNEED of locked memory", Some(Errno::EINVAL), Kind::Locked, DISCARD, 0..2 << 20, || {
        said(locked(HUGE).discard(..))
    };
    "madvise: MADV_FREE of locked memory", Some(Errno::EINVAL), Kind::Locked, DISCARD, 0..2 << 20, || {
        said(locked(HUGE).free(..))
    };
    "madvise: MADV_REMOVE of locked memory", Some(Errno::EINVAL), Kind::Locked, DISCARD, 0..4096, || {
        let map = Anon::shared(PAGE).map().unwrap();
        let _locked = map.lock(.., When::Now).unwrap();
        said(map.punch(..))
    };
    "madvise: MADV_COLD of locked memory", Some(Errno::EINVAL), Kind::Locked, ADVISE, 0..2 << 20, || {
        of_locked(Hint::Cold)
    };
    "madvise: MADV_PAGEOUT of locked memory", Some(Errno::EINVAL), Kind::Locked, ADVISE, 0..2 << 20, || {
        of_locked(Hint::PageOut)
    };
    "madvise: MADV_COLLAPSE of less than a huge page",
        Some(Errno::EINVAL), Kind::Invalid, ADVISE, 0..4096, || {
        if !Hint::Collapse.is_supported() {
            return skipped("MADV_COLLAPSE is Linux 6.1");
        }
        said(apart(PAGE).hint(.., Hint::Collapse))
    };
    "madvise: MADV_GUARD_INSTALL of locked memory", Some(Errno::EINVAL), Kind::Locked, Operation::Guard,
        0..2 << 20, || {
        if !neap_map::has_guards() {
            return skipped("MADV_GUARD_INSTALL is Linux 6.13");
        }
        said(locked(HUGE).into_guard())
    };
    "madvise: MADV_FREE of huge pages", Some(Errno::EINVAL), Kind::Invalid, DISCARD, 0..2 << 20, || {
        // SAFETY: (1) the view lends no references.
        of_the_pool(|map| unsafe { map.discard_unchecked(.., Discard::Free) })
    };
    "madvise: MADV_COLD of huge pages", Some(Errno::EINVAL), Kind::Invalid, ADVISE, 0..2 << 20, || {
        of_the_pool(|map| map.hint(.., Hint::Cold))
    };
    "madvise: MADV_PAGEOUT of huge pages", Some(Errno::EINVAL), Kind::Invalid, ADVISE, 0..2 << 20, || {
        of_the_pool(|map| map.hint(.., Hint::PageOut))
    };
    "madvise: MADV_COLLAPSE of huge pages", Some(Errno::EINVAL), Kind::Invalid, ADVISE, 0..2 << 20, || {
        of_the_pool(|map| map.hint(.., Hint::Collapse))
    };
    "madvise: MADV_WIPEONFORK of huge pages", Some(Errno::EINVAL), Kind::Invalid, ADVISE, 0..2 << 20, || {
        // SAFETY: (2) this process has no children.
        of_the_pool(|map| unsafe { map.at_fork(.., AtFork::Wipe) })
    };
    "madvise: MADV_GUARD_INSTALL of huge pages", Some(Errno::EINVAL), Kind::Invalid, Operation::Guard,
        0..2 << 20, || {
        if !neap_map::has_guards() {
            return skipped("MADV_GUARD_INSTALL is Linux 6.13");
        }
        of_the_pool(|map| map.guard(..))
    };
    "madvise: MADV_FREE of a file map", Some(Errno::EINVAL), Kind::Invalid, DISCARD, 0..4096, || {
        let map = FileMap::of(&file_of(PAGE)).writable().map().unwrap();
        // SAFETY: (1) the view lends no references.
        said(unsafe { map.discard_unchecked(.., Discard::Free) })
    };
    "madvise: MADV_WIPEONFORK of shared memory", Some(Errno::EINVAL), Kind::Invalid, ADVISE, 0..4096, || {
        // SAFETY: (2) this process has no children.
        said(unsafe { Anon::shared(PAGE).map().unwrap().at_fork(.., AtFork::Wipe) })
    };
    "madvise: MADV_COLD over a hole", Some(Errno::ENOMEM), Kind::NotMapped, ADVISE, 0..16384, || {
        let map = apart(4 * PAGE);
        make_a_hole(map.as_ptr().wrapping_add(PAGE), 1);
        said(map.hint(.., Hint::Cold))
    };
    "madvise: MADV_REMOVE on ramfs", Some(Errno::EOPNOTSUPP), Kind::Unsupported(Feature::PunchHole), DISCARD,
        0..4096, || mounted("ramfs", 0, |folder| {
            std::fs::write(folder.join("file"), [1; PAGE]).unwrap();
            let mut options = std::fs::OpenOptions::new();
            let file = options.read(true).write(true).open(folder.join("file")).unwrap();
            said(FileMap::of(&file).writable().map().unwrap().punch(..))
        });
    "madvise: MADV_POPULATE_READ past the end of the file", Some(Errno::EFAULT), Kind::FileTooShort, ADVISE,
        8192..16384, || {
        let file = file_of(2 * PAGE - 10);
        said(FileMap::of(&file).range(..16384).map().unwrap().hint(.., Hint::PopulateRead))
    };
    "madvise: MADV_POPULATE_WRITE over a guard", Some(Errno::EFAULT), Kind::Inaccessible, ADVISE,
        4096..12288, || {
        let map = Anon::shared(3 * PAGE).map().unwrap();
        match map.guard(PAGE..2 * PAGE) {
            Ok(()) => said(map.hint(.., Hint::PopulateWrite)),
            Err(error) => skipped(error.to_string()),
        }
    };
    "madvise: MADV_DONTNEED of sealed memory for reading",
        Some(Errno::EPERM), Kind::MapSealed, DISCARD, 0..4096,
        seal_read_only;
    "process_madvise: a process that has ended", Some(Errno::ESRCH), Kind::NotFound, ADVISE, 4096..8192,
        ended_process;
    "process_madvise: MADV_RANDOM for another process", Some(Errno::EINVAL),
        Kind::Unsupported(Feature::ProcessAdvice), ADVISE, 4096..8192, || {
        // SAFETY: waits to be killed.
        let pid = crate::child::start(|| unsafe { libc::pause(); });
        let process = Process::open(pid.cast_unsigned()).unwrap();
        let answer = process.hint(std::slice::from_ref(&(4096..8192)), Hint::Random);
        // SAFETY: ends the child started above.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        said(answer)
    };
    "process_madvise: another user's process",
        Some(Errno::EACCES), Kind::NotPermitted, ADVISE, 4096..8192, || {
        if !crate::child::is_root() {
            return skipped("takes root to have one");
        }
        let process = Process::open(std::os::unix::process::parent_id()).unwrap();
        crate::child::become_nobody();
        said(process.hint(std::slice::from_ref(&(4096..8192)), Hint::Cold))
    };
    "pidfd_open: no such process", Some(Errno::ESRCH), Kind::NotFound, Operation::Open, 0..0, || {
        said(Process::open(i32::MAX.cast_unsigned()))
    };
    "mincore: a hole", Some(Errno::ENOMEM), Kind::NotMapped, Operation::Residency, 0..8192, || {
        let map = apart(2 * PAGE);
        make_a_hole(map.as_ptr(), 1);
        said(map.residency(..))
    };
    "cachestat: a descriptor opened with O_PATH",
        Some(Errno::EBADF), Kind::BadDescriptor, Operation::Residency,
        0..0, || {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = std::fs::OpenOptions::new();
        let path = options.read(true).custom_flags(libc::O_PATH).open("/proc/self/exe").unwrap();
        match neap_map::CacheStat::of(&path, ..) {
            Err(error) if error.kind() == Kind::Unsupported(Feature::Cachestat) => {
                skipped("cachestat is Linux 6.5")
            }
            answer => said(answer),
        }
    };
};
