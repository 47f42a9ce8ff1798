//! On a kernel, or in a sandbox, without a feature the library says which one, and everything else works.
//!
//! A child gets a seccomp filter that answers one call, or one value of its argument, as a kernel without
//! it does.
#![allow(unsafe_code)]

mod child;
mod kernel;
mod memory;
#[path = "../src/skip.rs"]
mod skip;

use child::{End, end, start};
use memory::{PAGE, apart, file_of};
use neap_map::lock::When;
use neap_map::sysv::Segment;
use neap_map::{
    Anon, CacheStat, Categories, Error, Feature, FileMap, Hint, Hints, HugePage, Kind, Memfd, Process,
    Secret, try_read_resident,
};

/// Which calls a kernel lacks: those whose argument, as far as the mask goes, is the value.
#[derive(Clone, Copy)]
struct Lack {
    call: libc::c_long,
    argument: u32,
    mask: u32,
    value: u32,
    errno: i32,
}

const fn call(call: libc::c_long, errno: i32) -> Lack {
    Lack {
        call,
        argument: 0,
        mask: 0,
        value: 0,
        errno,
    }
}

const fn value(call: libc::c_long, argument: u32, value: u32, errno: i32) -> Lack {
    Lack {
        call,
        argument,
        mask: u32::MAX,
        value,
        errno,
    }
}

const fn bits(call: libc::c_long, argument: u32, mask: u32, value: u32, errno: i32) -> Lack {
    Lack {
        call,
        argument,
        mask,
        value,
        errno,
    }
}

const fn advice(number: u32) -> Lack {
    value(libc::SYS_madvise, 2, number, libc::EINVAL)
}

impl Lack {
    /// Puts the filter over this child. False where filters are forbidden.
    fn install(self) -> bool {
        let step = |code: u32, yes: u8, no: u8, k: u32| libc::sock_filter {
            code: u16::try_from(code).unwrap(),
            jt: yes,
            jf: no,
            k,
        };
        let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
        let is = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        let and = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
        let answer = libc::BPF_RET | libc::BPF_K;
        let refused = libc::SECCOMP_RET_ERRNO | self.errno.cast_unsigned();
        // struct seccomp_data: the number, the architecture, the address, six arguments of eight bytes.
        let mut program = [
            step(load, 0, 0, 0),
            step(is, 0, 4, u32::try_from(self.call).unwrap()),
            step(load, 0, 0, 16 + 8 * self.argument),
            step(and, 0, 0, self.mask),
            step(is, 0, 1, self.value),
            step(answer, 0, 0, refused),
            step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let filter = libc::sock_fprog {
            len: u16::try_from(program.len()).unwrap(),
            filter: program.as_mut_ptr(),
        };
        // SAFETY: reads the program, which outlives the call; binds this child only.
        unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) == 0
        }
    }
}

/// What a call says that must fail.
fn said<T, E: Into<Error>>(answer: Result<T, E>) -> Option<Error> {
    answer.err().map(Into::into)
}

fn hinted(hint: Hint) -> Option<Error> {
    assert!(!hint.is_supported());
    said(Anon::private(4 << 20).map().unwrap().hint(.., hint))
}

/// What every kernel has.
fn the_rest_works() {
    let mut map = apart(4 * PAGE);
    map.fill(7);
    map.hint(.., Hint::Sequential).unwrap();
    map.discard(PAGE..2 * PAGE).unwrap();
    assert_eq!((map[0], map[PAGE], map[2 * PAGE]), (7, 0, 7));
    assert_eq!(map.residency(..).unwrap().resident(), Some(4));
    map.lock(..PAGE, When::Now).unwrap().unlock().unwrap();
    let shared = Anon::shared(PAGE).map().unwrap();
    shared.write_at(9, b"kept").unwrap();
    assert_eq!(shared.read::<[u8; 4]>(9), Ok(*b"kept"));
    let file = file_of(2 * PAGE);
    let map = FileMap::of(&file).range(5..).writable().map().unwrap();
    map.write_at(0, b"b").unwrap();
    map.flush(..).unwrap();
    assert_eq!(map.read::<[u8; 2]>(0), Ok(*b"ba"));
    map.unmap().unwrap();
}

/// What is asked of a kernel that lacks it.
type Asked = fn() -> Option<Error>;

const EINVAL: i32 = libc::EINVAL;
const ENOSYS: i32 = libc::ENOSYS;

const LACKING: &[(&str, Lack, Feature, Asked)] = &[
    ("mseal", call(462, ENOSYS), Feature::Seal, || {
        Anon::private(PAGE)
            .map()
            .unwrap()
            .sealed()
            .err()
            .map(|refused| refused.error())
    }),
    ("cachestat", call(451, ENOSYS), Feature::Cachestat, || {
        said(CacheStat::of(&file_of(PAGE), ..))
    }),
    (
        "pkey_alloc",
        call(libc::SYS_pkey_alloc, ENOSYS),
        Feature::ProtectionKeys,
        || said(neap_map::key::Key::new()),
    ),
    (
        "memfd_secret",
        call(libc::SYS_memfd_secret, ENOSYS),
        Feature::SecretMemory,
        || said(Secret::create(4096)),
    ),
    (
        "memfd_create",
        call(libc::SYS_memfd_create, ENOSYS),
        Feature::Memfd,
        || said(Memfd::named("none").create(4096)),
    ),
    (
        "process_madvise, many ranges",
        call(libc::SYS_process_madvise, ENOSYS),
        Feature::ProcessAdvice,
        || {
            let map = Anon::private(PAGE).map().unwrap();
            said(Hints::new().add(&map, ..).unwrap().give(Hint::Cold))
        },
    ),
    (
        "process_madvise, a process",
        call(libc::SYS_process_madvise, ENOSYS),
        Feature::ProcessAdvice,
        || {
            let process = Process::open(std::process::id()).unwrap();
            said(process.hint(std::slice::from_ref(&(0..PAGE)), Hint::Cold))
        },
    ),
    (
        "pidfd_open",
        call(libc::SYS_pidfd_open, ENOSYS),
        Feature::ProcessAdvice,
        || said(Process::open(std::process::id())),
    ),
    (
        "mlock2",
        call(libc::SYS_mlock2, ENOSYS),
        Feature::LockOnFault,
        || said(Anon::private(PAGE).map().unwrap().lock(.., When::OnFault)),
    ),
    (
        "PAGEMAP_SCAN",
        value(libc::SYS_ioctl, 1, 0xc060_6610, libc::ENOTTY),
        Feature::PagemapScan,
        || said(Anon::private(PAGE).map().unwrap().scan(.., Categories::PRESENT)),
    ),
    ("MADV_GUARD_INSTALL, shared", advice(102), Feature::Guard, || {
        assert!(!neap_map::has_guards());
        said(Anon::shared(PAGE).map().unwrap().guard(..))
    }),
    ("MADV_GUARD_INSTALL, private", advice(102), Feature::Guard, || {
        said(apart(PAGE).into_guard())
    }),
    ("MADV_COLD", advice(20), Feature::Advice, || hinted(Hint::Cold)),
    ("MADV_PAGEOUT", advice(21), Feature::Advice, || {
        hinted(Hint::PageOut)
    }),
    ("MADV_POPULATE_READ", advice(22), Feature::Advice, || {
        hinted(Hint::PopulateRead)
    }),
    ("MADV_POPULATE_WRITE", advice(23), Feature::Advice, || {
        hinted(Hint::PopulateWrite)
    }),
    ("MADV_COLLAPSE", advice(25), Feature::Advice, || {
        hinted(Hint::Collapse)
    }),
    ("MADV_MERGEABLE", advice(12), Feature::Advice, || {
        hinted(Hint::Mergeable)
    }),
    ("MADV_HUGEPAGE", advice(14), Feature::Advice, || {
        hinted(Hint::HugePage)
    }),
    ("MADV_DONTNEED_LOCKED", advice(24), Feature::Advice, || {
        said(apart(PAGE).discard_locked(..))
    }),
    ("MADV_FREE", advice(8), Feature::Advice, || {
        said(apart(PAGE).free(..))
    }),
    (
        "MADV_REMOVE",
        value(libc::SYS_madvise, 2, 9, libc::EOPNOTSUPP),
        Feature::PunchHole,
        || said(Anon::shared(PAGE).map().unwrap().punch(..)),
    ),
    (
        "MREMAP_DONTUNMAP",
        bits(libc::SYS_mremap, 3, 4, 4, EINVAL),
        Feature::KeepOld,
        || said(Anon::private(PAGE).map().unwrap().move_out()),
    ),
    (
        "MAP_DROPPABLE",
        bits(libc::SYS_mmap, 3, 0xf, 8, EINVAL),
        Feature::Droppable,
        || said(Anon::droppable(PAGE).map()),
    ),
    (
        "MAP_HUGETLB",
        bits(libc::SYS_mmap, 3, 0x4_0000, 0x4_0000, EINVAL),
        Feature::HugePages,
        || said(Anon::private(2 << 20).huge(HugePage::MIB_2).map()),
    ),
    (
        "MAP_SYNC",
        bits(libc::SYS_mmap, 3, 0x8_0000, 0x8_0000, libc::EOPNOTSUPP),
        Feature::Sync,
        || said(FileMap::of(&file_of(PAGE)).writable().sync().map()),
    ),
    (
        "RWF_NOWAIT",
        call(libc::SYS_preadv2, libc::EOPNOTSUPP),
        Feature::ReadNoWait,
        || said(try_read_resident(&file_of(PAGE), 0, &mut [0])),
    ),
    (
        "PR_SET_VMA",
        value(libc::SYS_prctl, 0, 0x5356_4d41, EINVAL),
        Feature::Name,
        || said(Anon::private(PAGE).map().unwrap().set_name(c"none")),
    ),
    ("shmget", call(libc::SYS_shmget, ENOSYS), Feature::SystemV, || {
        said(Segment::private(PAGE).create())
    }),
    (
        "FS_IOC_ENABLE_VERITY",
        value(libc::SYS_ioctl, 1, 0x4080_6685, libc::ENOTTY),
        Feature::Verity,
        || {
            said(neap_map::verity::enable(
                &file_of(PAGE),
                neap_map::verity::Algorithm::Sha256,
            ))
        },
    ),
    (
        "F_SETLEASE",
        value(libc::SYS_fcntl, 1, 1024, EINVAL),
        Feature::Lease,
        || {
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().set_len(4096).unwrap();
            said(FileMap::of(&std::fs::File::open(file.path()).unwrap()).leased())
        },
    ),
];

#[test]
fn what_a_kernel_lacks_is_named_and_the_rest_works() {
    const SKIPPED: i32 = 77;
    let mut failed = Vec::new();
    for &(name, lack, feature, ask) in LACKING {
        let pid = start(|| {
            if !lack.install() {
                // SAFETY: ends this child.
                unsafe { libc::_exit(SKIPPED) };
            }
            let error = ask().unwrap_or_else(|| panic!("{name}: it worked"));
            assert_eq!(error.kind(), Kind::Unsupported(feature), "{name}: {error}");
            assert!(error.to_string().contains(feature.name()), "{name}: {error}");
            the_rest_works();
        });
        match end(pid) {
            End::Exited(0) => {}
            End::Exited(SKIPPED) => kernel::skip(name, "seccomp filters are forbidden here"),
            end => failed.push((name, end)),
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
