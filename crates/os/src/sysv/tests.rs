//! Tests that attach do so in a child: one that another test forks meanwhile would inherit the attachment.
#![allow(unsafe_code)]

use super::*;
use crate::child::{become_user, in_child, limit};
use crate::linux::Linux;
use crate::residency::residency;
use crate::unit::Span;
use crate::vm::Vm;
use core::ptr::with_exposed_provenance_mut;
use std::string::String;

const PAGE: usize = 4096;
const RLIMIT_MEMLOCK: usize = 8;
const RLIMIT_AS: usize = 9;

/// A private segment that is removed when the test ends, however it ends.
struct Segment(Id);

impl Segment {
    fn new(len: usize) -> Segment {
        Segment(get(Key::PRIVATE, Bytes(len), Create::Never, Features::PLAIN).unwrap())
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let _ = remove(self.0);
    }
}

/// A key of this process and `n`.
fn key(n: u8) -> Key {
    Key((std::process::id() << 8 | u32::from(n)).cast_signed() | 0x4000_0000)
}

fn let_go(base: usize) {
    // SAFETY: (1, 2) tests call it once for each attachment they made, and use it no more.
    unsafe { detach(base) }.unwrap();
}

fn mode(bits: u16) -> Features {
    Features {
        mode: Mode::new(bits).unwrap(),
        ..Features::PLAIN
    }
}

#[test]
fn a_store_through_one_attachment_is_read_through_another() {
    in_child(|| {
        let segment = Segment::new(10);
        let one = attach(segment.0, Place::Anywhere, Access::ReadWrite).unwrap();
        let two = attach(segment.0, Place::Anywhere, Access::Read).unwrap();
        assert_ne!(one, two);
        // SAFETY: both are attached for this test alone, and a page long.
        unsafe {
            with_exposed_provenance_mut::<u64>(one).write_volatile(0x7469_6465);
            assert_eq!(
                with_exposed_provenance_mut::<u64>(two).read_volatile(),
                0x7469_6465
            );
        }
        assert_eq!(stat(segment.0).unwrap().attachments, 2);
        let_go(one);
        let_go(two);
        assert_eq!(stat(segment.0).unwrap().attachments, 0);
    });
}

#[test]
fn an_attachment_allows_what_was_asked_for() {
    in_child(|| {
        let segment = Segment(get(Key::PRIVATE, Bytes(PAGE), Create::Never, mode(0o700)).unwrap());
        for (access, shown) in [
            (Access::Read, "r--s"),
            (Access::ReadWrite, "rw-s"),
            (Access::ReadExecute, "r-xs"),
            (Access::ReadWriteExecute, "rwxs"),
        ] {
            let base = attach(segment.0, Place::Anywhere, access).unwrap();
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            let start = std::format!("{base:x}-");
            let line = maps.lines().find(|line| line.starts_with(&start)).unwrap();
            assert!(line.contains(shown), "{line}");
            let_go(base);
        }
    });
}

#[test]
fn a_segments_record_says_who_when_and_how_much() {
    in_child(|| {
        let segment = Segment::new(5000);
        let fresh = stat(segment.0).unwrap();
        assert_eq!((fresh.key, fresh.len), (Key::PRIVATE, Bytes(5000)));
        assert_eq!(fresh.mode, Mode::OWNER);
        assert_eq!(fresh.creator.pid, Some(std::process::id()));
        assert_eq!(fresh.creator.owner, fresh.owner);
        assert_eq!(
            (fresh.last_pid, fresh.attached, fresh.detached),
            (None, None, None)
        );
        assert!(fresh.changed > 1_600_000_000);
        assert!(!fresh.removed && !fresh.locked);

        let_go(attach(segment.0, Place::Anywhere, Access::Read).unwrap());
        let used = stat(segment.0).unwrap();
        assert_eq!(used.last_pid, Some(std::process::id()));
        assert!(used.attached >= Some(fresh.changed) && used.detached >= used.attached);

        let other = Mode::new(0o640).unwrap();
        set(segment.0, fresh.owner, other).unwrap();
        assert_eq!(stat(segment.0).unwrap().mode, other);
        let nobody = Owner {
            uid: u32::MAX,
            gid: 0,
        };
        assert_eq!(set(segment.0, nobody, other), Err(Errno::EINVAL));
    });
}

#[test]
fn a_removed_segment_lives_until_its_last_attachment_goes() {
    in_child(|| {
        let key = key(1);
        let id = get(key, Bytes(PAGE), Create::New, Features::PLAIN).unwrap();
        assert_eq!(get(key, Bytes(0), Create::Never, Features::PLAIN), Ok(id));
        let one = attach(id, Place::Anywhere, Access::ReadWrite).unwrap();
        remove(id).unwrap();
        assert_eq!(
            get(key, Bytes(0), Create::Never, Features::PLAIN),
            Err(Errno::ENOENT)
        );
        let gone = stat(id).unwrap();
        assert!(gone.removed);
        assert_eq!(gone.key, Key::PRIVATE);
        // Still attachable by its identifier.
        let two = attach(id, Place::Anywhere, Access::ReadWrite).unwrap();
        let_go(one);
        let_go(two);
        assert_eq!(stat(id), Err(Errno::EINVAL));
        for refused in [remove(id), lock(id), unlock(id), set(id, gone.owner, Mode::OWNER)] {
            assert_eq!(refused, Err(Errno::EINVAL));
        }
        assert_eq!(attach(id, Place::Anywhere, Access::Read), Err(Errno::EINVAL));
    });
}

#[test]
fn keys_are_found_made_or_refused_as_asked() {
    let key = key(2);
    assert_eq!(
        get(key, Bytes(PAGE), Create::Never, Features::PLAIN),
        Err(Errno::ENOENT)
    );
    let segment = Segment(get(key, Bytes(PAGE), Create::IfMissing, Features::PLAIN).unwrap());
    assert_eq!(
        get(key, Bytes(PAGE), Create::IfMissing, Features::PLAIN),
        Ok(segment.0)
    );
    assert_eq!(
        get(key, Bytes(PAGE), Create::New, Features::PLAIN),
        Err(Errno::EEXIST)
    );
    // The kernel compares with the length asked for, not with the rounded one.
    let longer = Bytes(PAGE + 1);
    assert_eq!(
        get(key, longer, Create::Never, Features::PLAIN),
        Err(Errno::EINVAL)
    );
    let empty = get(Key::PRIVATE, Bytes(0), Create::Never, Features::PLAIN);
    assert_eq!(empty, Err(Errno::EINVAL));
    assert_eq!(Mode::new(0o1000), None);
}

#[test]
fn a_length_beyond_memory_is_refused_unless_nothing_is_reserved() {
    let policy = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap();
    if policy.trim() != "0" {
        return crate::child::skip(format_args!("vm.overcommit_memory is not 0"));
    }
    let len = Bytes(1 << 44);
    let limits = limits().unwrap();
    if limits.longest < len || limits.pages < len.0 / PAGE {
        return crate::child::skip(format_args!("kernel.shmmax or shmall is below 16 TiB"));
    }
    assert_eq!(
        get(Key::PRIVATE, len, Create::Never, Features::PLAIN),
        Err(Errno::ENOMEM)
    );
    let unreserved = Features {
        reserve: Reserve::Nothing,
        ..Features::PLAIN
    };
    let segment = Segment(get(Key::PRIVATE, len, Create::Never, unreserved).unwrap());
    assert_eq!(stat(segment.0).unwrap().len, len);
}

#[test]
fn a_place_is_kept_rounded_or_refused() {
    in_child(|| {
        let segment = Segment::new(PAGE);
        let span = Linux.map(Bytes(4 * PAGE)).unwrap();
        let hole = span.base() + PAGE;
        // SAFETY: (1, 2) mapped above, never used.
        unsafe { Linux.unmap(Span::new(hole, PAGE).unwrap()) }.unwrap();
        let at = |place| attach(segment.0, place, Access::ReadWrite);
        assert_eq!(at(Place::At(hole + 1)), Err(Errno::EINVAL));
        assert_eq!(at(Place::At(hole)), Ok(hole));
        assert_eq!(at(Place::At(hole)), Err(Errno::EINVAL));
        let_go(hole);
        assert_eq!(at(Place::Rounded(hole + 5)), Ok(hole));
        for low in [0, 1, PAGE - 1] {
            assert_eq!(at(Place::At(low)), Err(Errno::EINVAL));
            assert_eq!(at(Place::Rounded(low)), Err(Errno::EINVAL));
        }
        // SAFETY: (1, 2) nothing is attached there, or not at that byte.
        unsafe {
            assert_eq!(detach(span.base()), Err(Errno::EINVAL));
            assert_eq!(detach(hole + 1), Err(Errno::EINVAL));
        }
    });
}

#[test]
fn a_mapping_is_replaced_only_when_that_is_asked_for() {
    in_child(|| {
        let segment = Segment::new(PAGE);
        let span = Linux.map(Bytes(2 * PAGE)).unwrap();
        let byte = with_exposed_provenance_mut::<u8>(span.base());
        // SAFETY: the pages were mapped for this test alone; page 0 is refused.
        unsafe {
            byte.write_volatile(9);
            assert_eq!(attach_over(segment.0, 0, Access::ReadWrite), Err(Errno::EINVAL));
            assert_eq!(attach_over(segment.0, span.base(), Access::ReadWrite), Ok(()));
            assert_eq!(byte.read_volatile(), 0);
            byte.add(PAGE).write_volatile(1);
        }
        let_go(span.base());
    });
}

#[test]
fn another_user_is_denied_what_the_mode_does_not_give() {
    in_child(|| {
        let (shut, open) = (Segment::new(PAGE), key(3));
        let open = (
            open,
            Segment(get(open, Bytes(PAGE), Create::New, mode(0o644)).unwrap()),
        );
        let (open_key, open) = (open.0, open.1);
        in_child(|| {
            if !become_user(12_345) {
                return crate::child::skip(format_args!("not run as root"));
            }
            let anywhere = |id, access| attach(id, Place::Anywhere, access);
            assert_eq!(anywhere(shut.0, Access::Read), Err(Errno::EACCES));
            assert_eq!(anywhere(open.0, Access::ReadWrite), Err(Errno::EACCES));
            let_go(anywhere(open.0, Access::Read).unwrap());
            let wanted = get(open_key, Bytes(0), Create::Never, mode(0o600));
            assert_eq!(wanted, Err(Errno::EACCES));
            assert_eq!(get(open_key, Bytes(0), Create::Never, mode(0o400)), Ok(open.0));
            assert_eq!(stat(shut.0), Err(Errno::EACCES));
            for refused in [
                remove(open.0),
                set(
                    open.0,
                    Owner {
                        uid: 12_345,
                        gid: 12_345,
                    },
                    Mode::OWNER,
                ),
                lock(open.0),
                unlock(open.0),
            ] {
                assert_eq!(refused, Err(Errno::EPERM));
            }
            let huge = Features {
                huge: Some(HugePage::DEFAULT),
                ..Features::PLAIN
            };
            let huge = get(Key::PRIVATE, Bytes(PAGE), Create::Never, huge);
            assert!(matches!(huge, Err(Errno::EPERM | Errno::ENOSYS)), "{huge:?}");
            let floor = std::fs::read_to_string("/proc/sys/vm/mmap_min_addr").unwrap();
            if floor.trim().parse::<usize>().unwrap() > PAGE {
                let low = attach(open.0, Place::At(PAGE), Access::Read);
                assert_eq!(low, Err(Errno::EPERM));
            }
            let listed = |whose| find(shut.0, whose);
            assert_eq!(listed(Anyone::Readable), None);
            assert_eq!(listed(Anyone::Any), Some(Bytes(PAGE)));
            core::mem::forget((shut, open));
        });
    });
}

/// The length of `id`, as the list of all segments has it.
fn find(id: Id, whose: Anyone) -> Option<Bytes> {
    (0..=usage().unwrap().highest.0)
        .filter_map(|index| stat_at(Index(index), whose).ok())
        .find(|(listed, _)| *listed == id)
        .map(|(_, stat)| stat.len)
}

#[test]
fn the_list_of_segments_has_this_one() {
    let segment = Segment::new(3 * PAGE);
    for whose in [Anyone::Readable, Anyone::Any] {
        assert_eq!(find(segment.0, whose), Some(Bytes(3 * PAGE)));
    }
    let usage = usage().unwrap();
    assert!(usage.segments >= 1 && usage.total >= Bytes(3 * PAGE));
    let beyond = stat_at(Index(i32::MAX.cast_unsigned()), Anyone::Any);
    assert_eq!(beyond, Err(Errno::EINVAL));
}

#[test]
fn limits_are_those_of_sysctl() {
    let limits = limits().unwrap();
    let sysctl = |name: &str| -> usize {
        let text: String = std::fs::read_to_string(std::format!("/proc/sys/kernel/{name}")).unwrap();
        text.trim().parse().unwrap()
    };
    assert_eq!(limits.longest, Bytes(sysctl("shmmax")));
    assert_eq!(limits.segments, sysctl("shmmni"));
    assert_eq!(limits.pages, sysctl("shmall"));
}

#[test]
fn locking_brings_nothing_in_and_shows_on_the_segment_alone() {
    in_child(|| {
        let segment = Segment::new(4 * PAGE);
        let base = attach(segment.0, Place::Anywhere, Access::ReadWrite).unwrap();
        lock(segment.0).unwrap();
        assert!(stat(segment.0).unwrap().locked);
        let span = Span::new(base, 4 * PAGE).unwrap();
        assert_eq!(residency(span, &mut [0; 4]), Ok(0));
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(status.contains("VmLck:\t       0 kB"));
        unlock(segment.0).unwrap();
        assert!(!stat(segment.0).unwrap().locked);
    });
}

#[test]
fn a_lock_is_bounded_by_its_limit() {
    in_child(|| {
        if !become_user(12_345) {
            return crate::child::skip(format_args!("not run as root"));
        }
        let segment = Segment::new(4 * PAGE);
        limit(RLIMIT_MEMLOCK, PAGE as u64);
        assert_eq!(lock(segment.0), Err(Errno::ENOMEM));
        limit(RLIMIT_MEMLOCK, 0);
        assert_eq!(lock(segment.0), Err(Errno::EPERM));
    });
}

#[test]
fn a_huge_segment_needs_a_pool_and_a_size_that_exists() {
    let of = |huge| Features {
        huge: Some(huge),
        ..Features::PLAIN
    };
    let odd = HugePage::of(Bytes(8192)).unwrap();
    let odd = get(Key::PRIVATE, Bytes(8192), Create::Never, of(odd));
    assert!(
        matches!(odd, Err(Errno::EINVAL | Errno::EPERM | Errno::ENOSYS)),
        "{odd:?}"
    );
    match get(Key::PRIVATE, Bytes(PAGE), Create::Never, of(HugePage::DEFAULT)) {
        Ok(id) => {
            let segment = Segment(id);
            // Its length stays as asked, its pages are huge.
            assert_eq!(stat(segment.0).unwrap().len, Bytes(PAGE));
        }
        Err(errno @ (Errno::ENOMEM | Errno::EPERM | Errno::ENOSYS)) => {
            crate::child::skip(format_args!("no huge page for a segment: {errno}"));
        }
        Err(errno) => panic!("{errno}"),
    }
}

#[test]
fn an_attachment_counts_against_the_address_space() {
    in_child(|| {
        let unreserved = Features {
            reserve: Reserve::Nothing,
            ..Features::PLAIN
        };
        let id = get(Key::PRIVATE, Bytes(1 << 40), Create::Never, unreserved);
        let Ok(id) = id else {
            return crate::child::skip(format_args!("kernel.shmmax or shmall is below 1 TiB"));
        };
        let segment = Segment(id);
        limit(RLIMIT_AS, 1 << 39);
        let refused = attach(segment.0, Place::Anywhere, Access::Read);
        assert_eq!(refused, Err(Errno::ENOMEM));
    });
}

#[test]
fn a_namespace_has_as_many_segments_as_its_limit() {
    const UNSHARE: Call = Call(if cfg!(target_arch = "x86_64") { 272 } else { 97 });
    const CLONE_NEWIPC: usize = 0x0800_0000;
    in_child(|| {
        // SAFETY: (1) gives the child an IPC namespace of its own; it has nothing attached.
        if let Err(errno) = unsafe { syscall1(UNSHARE, CLONE_NEWIPC) } {
            return crate::child::skip(format_args!("no namespace of its own: {errno}"));
        }
        assert_eq!(usage().unwrap().segments, 0);
        assert_eq!(stat_at(Index(0), Anyone::Any), Err(Errno::EINVAL));
        let make = |len| get(Key::PRIVATE, Bytes(len), Create::Never, Features::PLAIN);
        let first = make(2 * PAGE - 1).unwrap();
        let now = usage().unwrap();
        assert_eq!((now.segments, now.total), (1, Bytes(2 * PAGE)));
        assert_eq!((now.resident, now.swapped), (Bytes(0), Bytes(0)));
        assert_eq!(stat_at(now.highest, Anyone::Readable).unwrap().0, first);
        // As root of this machine; a container's may not write here.
        for (name, value, errno) in [
            ("shmmni", "1", Errno::ENOSPC),
            ("shmall", "2", Errno::ENOSPC),
            ("shmmax", "4095", Errno::EINVAL),
        ] {
            let path = std::format!("/proc/sys/kernel/{name}");
            let before = std::fs::read_to_string(&path).unwrap();
            if std::fs::write(&path, value).is_err() {
                return crate::child::skip(format_args!("{path} cannot be written"));
            }
            assert_eq!(make(PAGE), Err(errno), "{name}");
            std::fs::write(&path, before.trim()).unwrap();
        }
        assert!(make(PAGE).is_ok());
    });
}
