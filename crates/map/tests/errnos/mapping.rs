//! mmap.

use crate::child::{become_nobody, is_root, limit};
use crate::kernel::may_change_system;
use crate::memory::{HUGE, PAGE, file_of};
use crate::{Case, Outcome, said, skipped};
use neap_map::{Anon, Device, Errno, Feature, FileMap, HugePage, Kind, Memfd, Operation, Seals};
use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

const MAP: Operation = Operation::Map;
const ONE: std::ops::Range<u64> = 0..4096;

macro_rules! cases {
    ($($name:literal, $errno:expr, $kind:expr, $operation:expr, $range:expr, $provoke:expr;)*) => {
        &[$(Case {
            name: $name,
            errno: $errno,
            kind: $kind,
            operation: $operation,
            range: $range,
            provoke: $provoke,
        },)*]
    };
}
pub(crate) use cases;

fn map_one(file: &impl AsFd) -> Outcome {
    said(FileMap::of(file).range(..PAGE as u64).map())
}

fn open(path: &str) -> File {
    File::open(path).unwrap()
}

fn pipe() -> OwnedFd {
    let mut ends = [0; 2];
    // SAFETY: writes two descriptors, which are this process's own.
    unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        OwnedFd::from_raw_fd(ends[0])
    }
}

/// A page more than may be mapped.
pub(crate) fn use_up_the_map_count() {
    const PAGES: usize = 1 << 18;
    // SAFETY: maps anew, where the kernel likes, and changes rights of what it mapped.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let base = libc::mmap(std::ptr::null_mut(), PAGES * PAGE, libc::PROT_NONE, flags, -1, 0);
        assert_ne!(base, libc::MAP_FAILED);
        for page in (1..PAGES).step_by(2) {
            if libc::mprotect(base.wrapping_byte_add(page * PAGE), PAGE, libc::PROT_READ) != 0 {
                return;
            }
        }
    }
    panic!("vm.max_map_count is larger than {PAGES}");
}

/// Runs `body` in a folder where a file system of this kind is mounted, in a name space of its own.
pub(crate) fn mounted(
    kind: &str,
    flags: libc::c_ulong,
    body: impl FnOnce(&std::path::Path) -> Outcome,
) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let kind = std::ffi::CString::new(kind).unwrap();
    let path = std::ffi::CString::new(folder.path().to_str().unwrap()).unwrap();
    // SAFETY: changes this child's name space; the strings live.
    let mounted = unsafe {
        let private = libc::MS_REC | libc::MS_PRIVATE;
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                std::ptr::null(),
                c"/".as_ptr(),
                std::ptr::null(),
                private,
                std::ptr::null(),
            ) == 0
            && libc::mount(
                kind.as_ptr(),
                path.as_ptr(),
                kind.as_ptr(),
                flags,
                std::ptr::null(),
            ) == 0
    };
    if mounted {
        body(folder.path())
    } else {
        skipped("takes the right to mount")
    }
}

fn append_only() -> Outcome {
    use std::os::raw::c_long;
    const GET_FLAGS: libc::c_ulong = 0x8008_6601;
    const SET_FLAGS: libc::c_ulong = 0x4008_6602;
    const APPEND: c_long = 0x20;
    let file = file_of(PAGE);
    let mut flags: c_long = 0;
    // SAFETY: both calls take the address of a long.
    let is_set = unsafe {
        libc::ioctl(file.as_raw_fd(), GET_FLAGS, &raw mut flags) == 0 && {
            flags |= APPEND;
            libc::ioctl(file.as_raw_fd(), SET_FLAGS, &raw const flags) == 0
        }
    };
    if !is_set {
        return skipped("takes CAP_LINUX_IMMUTABLE and a file system with the attribute");
    }
    said(FileMap::of(&file).writable().map())
}

fn swap_file() -> Outcome {
    const PAGES: usize = 64;
    if !may_change_system() || !is_root() {
        return skipped("turns swap on: NEAP_TEST_SYSTEM=1, as root");
    }
    let mut space = vec![0_u8; PAGES * PAGE];
    space[1024..1032].copy_from_slice(&[1, 0, 0, 0, 63, 0, 0, 0]);
    space[PAGE - 10..PAGE].copy_from_slice(b"SWAPSPACE2");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, &space).unwrap();
    file.as_file().sync_all().unwrap();
    let path = std::ffi::CString::new(file.path().to_str().unwrap()).unwrap();
    // SAFETY: the string lives; the swap space is turned off again below.
    if unsafe { libc::swapon(path.as_ptr(), 0) } != 0 {
        return skipped("swapon refuses this file system");
    }
    let answer = FileMap::of(file.as_file()).range(..PAGE as u64).writable().map();
    // SAFETY: as above.
    assert_eq!(unsafe { libc::swapoff(path.as_ptr()) }, 0);
    said(answer)
}

fn file_max() -> Outcome {
    const LIMIT: &str = "/proc/sys/fs/file-max";
    if !may_change_system() || !is_root() {
        return skipped("lowers fs.file-max for a moment: NEAP_TEST_SYSTEM=1, as root");
    }
    let before = fs::read_to_string(LIMIT).unwrap();
    let mut knob = OpenOptions::new().write(true).open(LIMIT).unwrap();
    std::io::Write::write_all(&mut knob, b"1").unwrap();
    // Only the rights that count are given up, so that the limit can be put back.
    // SAFETY: changes this child's effective user.
    let answer = unsafe {
        assert_eq!(libc::seteuid(crate::child::NOBODY), 0);
        let answer = Anon::shared(PAGE).map();
        assert_eq!(libc::seteuid(0), 0);
        answer
    };
    fs::write(LIMIT, before.trim()).unwrap_or_else(|_| {
        std::io::Write::write_all(&mut knob, before.trim().as_bytes()).unwrap();
    });
    said(answer)
}

pub(crate) const CASES: &[Case] = cases! {
    "mmap: a closed descriptor", Some(Errno::EBADF), Kind::BadDescriptor, MAP, 0..0, || {
        // SAFETY: no file is open by this number, which is the point.
        let closed = unsafe { BorrowedFd::borrow_raw(1_000_000) };
        map_one(&closed)
    };
    "mmap: a descriptor opened with O_PATH", Some(Errno::EBADF), Kind::BadDescriptor, MAP, ONE, || {
        map_one(&OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("/proc/self/exe").unwrap())
    };
    "mmap: a descriptor for writing only", Some(Errno::EACCES), Kind::AccessDenied, MAP, ONE, || {
        let file = tempfile::NamedTempFile::new().unwrap();
        map_one(&OpenOptions::new().write(true).open(file.path()).unwrap())
    };
    "mmap: shared for writing, a descriptor for reading",
        Some(Errno::EACCES), Kind::AccessDenied, MAP, ONE, || {
        let file = tempfile::NamedTempFile::new().unwrap();
        said(FileMap::of(&File::open(file.path()).unwrap()).range(..4096).writable().map())
    };
    "mmap: shared for writing, an append-only file",
        Some(Errno::EACCES), Kind::AccessDenied, MAP, ONE, append_only;
    "mmap: huge pages of a size that no pool has",
        Some(Errno::EINVAL), Kind::Unsupported(Feature::HugePages), MAP,
        0..1 << 16, || {
        if neap_map::huge::sizes().contains(&HugePage::of(neap_os::unit::Bytes(1 << 16)).unwrap()) {
            return skipped("this machine has pages of 64 KiB");
        }
        said(Anon::private(1 << 16).huge(HugePage::of(neap_os::unit::Bytes(1 << 16)).unwrap()).map())
    };
    "mmap: an alignment that is no power of two", None, Kind::Unaligned, MAP, 0..4096, || {
        said(Anon::private(PAGE).align(3 * PAGE).map())
    };
    "mmap: a range that starts behind its end", None, Kind::OutOfRange, MAP, 8192..8193, || {
        #[allow(clippy::reversed_empty_ranges)]
        let range = 8192..4096;
        said(FileMap::of(&file_of(PAGE)).range(range).map())
    };
    "mmap: an offset past the longest file", Some(Errno::EOVERFLOW), Kind::TooLarge, MAP,
        u64::MAX - 8191..u64::MAX - 4095, || {
        said(FileMap::of(&file_of(PAGE)).range(u64::MAX - 8191..u64::MAX - 4095).map())
    };
    "mmap: locked, above RLIMIT_MEMLOCK", Some(Errno::EAGAIN), Kind::MemlockLimit, MAP, 0..1 << 20, || {
        limit(libc::RLIMIT_MEMLOCK, 1 << 16);
        become_nobody();
        said(Anon::private(1 << 20).locked().map())
    };
    "mmap: locked, RLIMIT_MEMLOCK is 0", Some(Errno::EPERM), Kind::MemlockLimit, MAP, ONE, || {
        limit(libc::RLIMIT_MEMLOCK, 0);
        become_nobody();
        said(Anon::private(PAGE).locked().map())
    };
    "mmap: shared anonymous, fs.file-max is reached",
        Some(Errno::ENFILE), Kind::TooManyFiles, MAP, ONE, file_max;
    "mmap: a pipe", Some(Errno::ENODEV), Kind::NotMappable, MAP, ONE, || map_one(&pipe());
    "mmap: a socket", None, Kind::DeviceMemory, MAP, 0..0, || {
        map_one(&std::os::unix::net::UnixDatagram::unbound().unwrap())
    };
    "mmap: a directory", Some(Errno::ENODEV), Kind::NotMappable, MAP, ONE, || map_one(&open("/"));
    "mmap: /proc/self/status", Some(Errno::ENODEV), Kind::NotMappable, MAP, ONE, || {
        map_one(&open("/proc/self/status"))
    };
    "mmap: /dev/null", Some(Errno::ENODEV), Kind::NotMappable, MAP, ONE, || {
        said(Device::of(&open("/dev/null"), 0..PAGE as u64).map())
    };
    "mmap: a driver's memory as if it were a file", None, Kind::DeviceMemory, MAP, 0..0, || {
        map_one(&open("/dev/zero"))
    };
    "mmap: /dev/ptmx, a terminal", Some(Errno::ENODEV), Kind::NotMappable, MAP, ONE, || {
        match File::open("/dev/ptmx") {
            Ok(terminal) => said(Device::of(&terminal, 0..PAGE as u64).map()),
            Err(_) => skipped("no terminals here"),
        }
    };
    "mmap: RLIMIT_AS", Some(Errno::ENOMEM), Kind::AddressSpaceLimit, MAP, 0..1 << 32, || {
        limit(libc::RLIMIT_AS, 1 << 32);
        said(Anon::private(1 << 32).no_reserve().map())
    };
    "mmap: RLIMIT_DATA, private writable", Some(Errno::ENOMEM), Kind::DataLimit, MAP, 0..1 << 30, || {
        limit(libc::RLIMIT_DATA, 1 << 30);
        said(Anon::private(1 << 30).map())
    };
    "mmap: more than all memory and swap", Some(Errno::ENOMEM), Kind::Overcommit, MAP, 0..1 << 45, || {
        if fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap().trim() == "1" {
            return skipped("vm.overcommit_memory is 1");
        }
        said(Anon::private(1 << 45).map())
    };
    "mmap: vm.max_map_count", Some(Errno::ENOMEM), Kind::MapCountExhausted, MAP, ONE, || {
        use_up_the_map_count();
        for _ in 0..8 {
            match Anon::shared(PAGE).map() {
                Ok(map) => std::mem::forget(map),
                Err(error) => return Outcome::Said(error),
            }
        }
        Outcome::Allowed
    };
    "mmap: more than there are addresses", Some(Errno::ENOMEM), Kind::OutOfMemory, MAP, 0..1 << 62, || {
        said(Anon::private(1 << 62).no_reserve().map())
    };
    "mmap: longer than isize::MAX",
        None, Kind::TooLarge, MAP, 0..1 << 63, || said(Anon::private(1 << 63).map());
    "mmap: huge pages, the pool is empty", Some(Errno::ENOMEM), Kind::HugePoolEmpty, MAP, 0..1 << 40, || {
        if !neap_map::huge::sizes().contains(&HugePage::MIB_2) {
            return skipped("no pool of 2 MiB pages");
        }
        said(Anon::private(1 << 40).huge(HugePage::MIB_2).map())
    };
    "mmap: a memfd sealed against writing", Some(Errno::EPERM), Kind::SealedAgainst, MAP, ONE, || {
        let memfd = Memfd::named("case").create(4096).unwrap();
        memfd.seal(Seals::WRITE).unwrap();
        said(memfd.map())
    };
    "mmap: executable, of a noexec mount", Some(Errno::EPERM), Kind::NoExec, MAP, ONE, || {
        mounted("tmpfs", libc::MS_NOEXEC, |folder| {
            fs::write(folder.join("code"), [0; PAGE]).unwrap();
            said(FileMap::of(&File::open(folder.join("code")).unwrap()).executable().map())
        })
    };
    "mmap: address 0", None, Kind::Invalid, MAP, ONE, || said(Anon::private(PAGE).at(0).map());
    "mmap: an address below vm.mmap_min_addr", Some(Errno::EPERM), Kind::NotPermitted, MAP, ONE, || {
        let minimum = fs::read_to_string("/proc/sys/vm/mmap_min_addr").unwrap();
        if minimum.trim().parse::<usize>().unwrap() <= PAGE {
            return skipped("vm.mmap_min_addr leaves no page but that of address 0");
        }
        become_nobody();
        said(Anon::private(PAGE).at(PAGE).map())
    };
    "mmap: an active swap file, shared for writing",
        Some(Errno::ETXTBSY), Kind::SwapFile, MAP, ONE, swap_file;
    "mmap: a place that is taken", Some(Errno::EEXIST), Kind::Occupied, MAP, ONE, || {
        let taken = Anon::private(PAGE).map().unwrap();
        said(Anon::private(PAGE).at(taken.as_ptr().addr()).map())
    };
    "mmap: MAP_SYNC without DAX", Some(Errno::EOPNOTSUPP), Kind::Unsupported(Feature::Sync), MAP, ONE, || {
        said(FileMap::of(&file_of(PAGE)).writable().sync().map())
    };
    "mmap: a chosen place and an alignment", None, Kind::Invalid, MAP, 0..2 << 20, || {
        said(Anon::private(HUGE).align(HUGE).near(1 << 32).map())
    };
};
