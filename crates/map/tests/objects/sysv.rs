//! System V shared memory. Tests attach in children: one forked meanwhile would inherit the attachment.

use crate::child::{Child, STRANGER, as_stranger, in_child, is_root, limit, own_ipc, skip};
use neap_map::sysv::{self, Id, Key, Segment};
use neap_map::{Anon, HugePage, Kind, Mode, Owner};

const PAGE: usize = 4096;

/// Removed when the test ends, however it ends.
struct Removed(Segment);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = self.0.remove();
    }
}

fn private(len: usize) -> Removed {
    Removed(Segment::private(len).create().unwrap())
}

fn key(number: u32) -> Key {
    Key((0x4000_0000 | std::process::id() << 6 | number).cast_signed())
}

fn attachments(segment: &Removed) -> u64 {
    segment.0.stat().unwrap().attachments
}

/// What smaps says of the mapping at this address.
fn smaps(address: *const u8) -> String {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let start = format!("{:x}-", address as usize);
    let own: Vec<&str> = maps
        .lines()
        .skip_while(|line| !line.starts_with(&start))
        .take(30)
        .collect();
    let end = own.iter().position(|line| line.starts_with("VmFlags:")).unwrap();
    own[..=end].join("\n")
}

#[test]
fn a_segment_is_shared_with_a_process_that_knows_its_key() {
    as_stranger(|| {
        let key = key(1);
        let segment = Removed(Segment::keyed(key, 10).create().unwrap());
        let here = segment.0.attach().map().unwrap();
        assert_eq!(here.len(), 10);
        let child = Child::start(|| {
            let same = Segment::open(key).unwrap();
            let there = same.attach().map().unwrap();
            there.write_at(0, b"from there").unwrap();
            there.detach().unwrap();
            let reader = Segment::of(same.id()).attach().read_only().map().unwrap();
            assert_eq!(reader.read::<u8>(9).unwrap(), b'e');
        });
        assert_eq!(child.end(), Ok(0));
        assert_eq!(here.read::<[u8; 10]>(0).unwrap(), *b"from there");
        assert_eq!(attachments(&segment), 1);
        drop(here);
        assert_eq!(attachments(&segment), 0);
    });
}

#[test]
fn creation_is_refused_for_what_the_kernel_does_not_make() {
    as_stranger(|| {
        let segment = Removed(Segment::keyed(key(2), PAGE).create().unwrap());
        let keyed = |len| Segment::keyed(key(2), len);
        assert_eq!(keyed(PAGE).create().unwrap_err().kind(), Kind::AlreadyExists);
        assert_eq!(keyed(PAGE).open_or_create().unwrap(), segment.0);
        assert_eq!(keyed(1).open_or_create().unwrap(), segment.0);
        assert_eq!(
            keyed(PAGE + 1).open_or_create().unwrap_err().kind(),
            Kind::TooLarge
        );
        assert_eq!(Segment::private(0).create().unwrap_err().kind(), Kind::Invalid);
        assert_eq!(
            Segment::private(usize::MAX).create().unwrap_err().kind(),
            Kind::TooLarge
        );
        assert_eq!(Segment::open(key(3)).unwrap_err().kind(), Kind::NotFound);
        assert_eq!(Segment::open(Key::PRIVATE).unwrap_err().kind(), Kind::Invalid);
        let mode = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap();
        if mode.trim() == "1" {
            return skip("a segment larger than memory", &"vm.overcommit_memory is 1");
        }
        let endless = 1 << 44;
        assert_eq!(
            Segment::private(endless).create().unwrap_err().kind(),
            Kind::Overcommit
        );
        if mode.trim() == "0" {
            let sparse = Removed(Segment::private(endless).no_reserve().create().unwrap());
            let map = sparse.0.attach().map().unwrap();
            map.write_at(endless - 1, b"x").unwrap();
        }
    });
}

#[test]
fn places_are_taken_rounded_or_refused() {
    in_child(|| {
        let segment = private(PAGE);
        let free = Anon::private(4 * PAGE).reserve().unwrap();
        let address = free.as_ptr() as usize;
        let attach = segment.0.attach();
        assert_eq!(attach.at(address).map().unwrap_err().kind(), Kind::Occupied);
        free.unmap().unwrap();
        assert_eq!(attach.at(address + 1).map().unwrap_err().kind(), Kind::Unaligned);
        let at = attach.at(address).map().unwrap();
        assert_eq!(at.as_ptr() as usize, address);
        assert_eq!(
            attach.rounded(address + 7).map().unwrap_err().kind(),
            Kind::Occupied
        );
        let rounded = attach.read_only().rounded(address + PAGE + 7).map().unwrap();
        assert_eq!(rounded.as_ptr() as usize, address + PAGE);
        assert_eq!(attach.at(0).map().unwrap_err().kind(), Kind::Invalid);
        assert_eq!(attach.rounded(7).map().unwrap_err().kind(), Kind::Invalid);
        assert_eq!(attachments(&segment), 2);
    });
}

#[test]
fn a_segment_replaces_a_reservation() {
    in_child(|| {
        let segment = private(2 * PAGE + 5);
        let reserved = Anon::private(8 * PAGE).reserve().unwrap();
        let address = reserved.as_ptr() as usize;
        let (first, rest) = segment.0.attach().map_over(reserved).unwrap();
        assert_eq!((first.as_ptr() as usize, first.len()), (address, 2 * PAGE + 5));
        assert_eq!(
            (rest.as_ptr() as usize, rest.len()),
            (address + 3 * PAGE, 5 * PAGE)
        );
        let (second, rest) = segment.0.attach().read_only().map_over(rest).unwrap();
        first.write_at(2 * PAGE, b"tail").unwrap();
        assert_eq!(second.read::<[u8; 4]>(2 * PAGE).unwrap(), *b"tail");
        assert_eq!(attachments(&segment), 2);
        assert_eq!(
            segment.0.attach().map_over(rest).unwrap_err().kind(),
            Kind::OutOfRange
        );
        let empty = Anon::private(0).reserve().unwrap();
        assert_eq!(
            segment.0.attach().map_over(empty).unwrap_err().kind(),
            Kind::OutOfRange
        );
        assert_eq!(attachments(&segment), 2);
        first.detach().unwrap();
        second.detach().unwrap();
        assert_eq!(attachments(&segment), 0);
    });
}

#[test]
fn an_attachment_allows_what_was_asked_for() {
    in_child(|| {
        let mode = Mode::new(0o700).unwrap();
        let segment = Removed(Segment::private(PAGE).mode(mode).create().unwrap());
        let attach = segment.0.attach();
        let line = |address: *const u8| smaps(address).lines().next().unwrap().to_owned();
        let plain = attach.map().unwrap();
        assert!(line(plain.as_ptr()).contains(" rw-s "));
        let read = attach.read_only().map().unwrap();
        assert!(line(read.as_ptr()).contains(" r--s "));
        let run = attach.read_only().executable().map().unwrap();
        assert!(line(run.as_ptr()).contains(" r-xs "));
        let all = attach.executable().map().unwrap();
        assert!(line(all.as_ptr()).contains(" rwxs "));
    });
    as_stranger(|| {
        let segment = private(PAGE);
        let run = segment.0.attach().executable().map();
        assert_eq!(run.unwrap_err().kind(), Kind::AccessDenied, "mode 0600");
    });
}

#[test]
fn what_is_removed_goes_with_its_last_attachment() {
    in_child(|| {
        let segment = Removed(Segment::keyed(key(4), PAGE).create().unwrap());
        let first = segment.0.attach().map().unwrap();
        segment.0.remove().unwrap();
        let stat = segment.0.stat().unwrap();
        assert!(stat.removed);
        assert_eq!(stat.key, Key::PRIVATE);
        assert_eq!(Segment::open(key(4)).unwrap_err().kind(), Kind::NotFound);
        let second = segment.0.attach().map().unwrap();
        first.detach().unwrap();
        second.write_at(0, b"still here").unwrap();
        drop(second);
        let gone = segment.0;
        assert_eq!(gone.stat().unwrap_err().kind(), Kind::NotFound);
        assert_eq!(gone.remove().unwrap_err().kind(), Kind::NotFound);
        assert_eq!(gone.lock().unwrap_err().kind(), Kind::NotFound);
        assert_eq!(gone.attach().map().unwrap_err().kind(), Kind::NotFound);
        assert_eq!(Segment::of(Id(-1)).stat().unwrap_err().kind(), Kind::NotFound);
    });
}

#[test]
fn pieces_of_an_attachment_detach_with_the_last_of_them() {
    in_child(|| {
        let segment = private(8 * PAGE);
        let mut map = segment.0.attach().map().unwrap().into_map();
        map.write_at(6 * PAGE, b"tail").unwrap();
        let tail = map.split_off(5 * PAGE).unwrap();
        let (front, back) = map.unmap_range(PAGE..2 * PAGE).unwrap();
        front.unmap().unwrap();
        drop(back);
        // shmdt at the start would have taken this one along.
        assert_eq!(tail.read::<[u8; 4]>(PAGE).unwrap(), *b"tail");
        assert!(attachments(&segment) > 0);
        tail.unmap().unwrap();
        assert_eq!(attachments(&segment), 0);
    });
}

#[test]
fn another_user_gets_what_the_mode_says() {
    in_child(|| {
        if !is_root() {
            return skip("another user", &"not root");
        }
        let segment = Removed(Segment::keyed(key(5), PAGE).create().unwrap());
        let key = key(5);
        as_stranger(|| {
            assert_eq!(Segment::open(key).unwrap_err().kind(), Kind::AccessDenied);
            let by_id = segment.0;
            assert_eq!(by_id.attach().map().unwrap_err().kind(), Kind::AccessDenied);
            assert_eq!(by_id.stat().unwrap_err().kind(), Kind::AccessDenied);
            assert_eq!(by_id.remove().unwrap_err().kind(), Kind::NotPermitted);
            assert_eq!(by_id.lock().unwrap_err().kind(), Kind::NotPermitted);
            assert_eq!(by_id.unlock().unwrap_err().kind(), Kind::NotPermitted);
            let listing = sysv::list().unwrap();
            assert!(
                listing.segments.iter().any(|(other, _)| *other == by_id),
                "SHM_STAT_ANY"
            );
        });
        let root = segment.0.stat().unwrap().owner;
        segment.0.set(root, Mode::new(0o604).unwrap()).unwrap();
        as_stranger(|| {
            let by_key = Segment::open(key).unwrap();
            assert_eq!(by_key.attach().map().unwrap_err().kind(), Kind::AccessDenied);
            by_key.attach().read_only().map().unwrap();
            let mine = Owner {
                uid: STRANGER,
                gid: STRANGER,
            };
            assert_eq!(
                by_key.set(mine, Mode::OWNER).unwrap_err().kind(),
                Kind::NotPermitted
            );
        });
        segment
            .0
            .set(
                Owner {
                    uid: STRANGER,
                    gid: STRANGER,
                },
                Mode::OWNER,
            )
            .unwrap();
        let nobody = Owner {
            uid: u32::MAX,
            gid: 0,
        };
        assert_eq!(
            segment.0.set(nobody, Mode::OWNER).unwrap_err().kind(),
            Kind::Invalid
        );
        as_stranger(|| {
            Segment::open(key).unwrap().attach().map().unwrap();
            segment.0.remove().unwrap();
        });
    });
}

#[test]
fn a_lock_is_on_the_segment_and_not_on_a_mapping() {
    in_child(|| {
        let segment = private(2 * PAGE);
        let map = segment.0.attach().map().unwrap();
        segment.0.lock().unwrap();
        assert!(segment.0.stat().unwrap().locked);
        let flags = smaps(map.as_ptr());
        assert!(
            !flags.lines().last().unwrap().split(' ').any(|flag| flag == "lo"),
            "{flags}"
        );
        segment.0.unlock().unwrap();
        assert!(!segment.0.stat().unwrap().locked);
    });
    as_stranger(|| {
        limit(libc::RLIMIT_MEMLOCK, PAGE as u64);
        let segment = private(16 * PAGE);
        assert_eq!(segment.0.lock().unwrap_err().kind(), Kind::MemlockLimit);
    });
}

#[test]
fn a_namespace_has_so_many_segments_and_no_more() {
    in_child(|| {
        if !own_ipc() {
            return skip("an IPC namespace of one's own", &"not permitted");
        }
        assert_eq!(sysv::usage().unwrap().segments, 0);
        assert!(sysv::list().unwrap().segments.is_empty());
        std::fs::write("/proc/sys/kernel/shmmni", "2").unwrap();
        assert_eq!(sysv::limits().unwrap().segments, 2);
        let first = Segment::private(PAGE).create().unwrap();
        let second = Segment::private(5 * PAGE).create().unwrap();
        assert_eq!(
            Segment::private(1).create().unwrap_err().kind(),
            Kind::SegmentLimit
        );
        let listing = sysv::list().unwrap();
        let listed: Vec<_> = listing
            .segments
            .iter()
            .map(|(segment, stat)| (*segment, stat.len.0))
            .collect();
        assert_eq!(listed, [(first, PAGE), (second, 5 * PAGE)]);
        assert_eq!(listing.denied, 0);
        assert_eq!(sysv::usage().unwrap().total.0, 6 * PAGE);
    });
}

#[test]
fn huge_pages_are_given_or_said_to_be_missing() {
    in_child(|| {
        let none = HugePage::of(neap_os::unit::Bytes(1 << 13)).unwrap();
        let error = Segment::private(PAGE).huge(none).create().unwrap_err();
        assert!(matches!(error.kind(), Kind::Unsupported(_)), "{error}");
        match Segment::private(5000).huge(HugePage::MIB_2).create() {
            Err(error) if matches!(error.kind(), Kind::HugePoolEmpty | Kind::NotPermitted) => {
                skip("a segment of huge pages", &error);
            }
            segment => {
                let segment = Removed(segment.unwrap());
                let map = segment.0.attach().map().unwrap();
                assert_eq!((map.page_size(), map.len()), (2 << 20, 5000));
                map.write_at(4999, b"x").unwrap();
                let reserved = Anon::private(4 << 20).align(2 << 20).reserve().unwrap();
                let (over, rest) = segment.0.attach().map_over(reserved).unwrap();
                assert_eq!((over.page_size(), rest.len()), (2 << 20, 2 << 20));
                assert_eq!(over.read::<u8>(4999).unwrap(), b'x');
                over.into_map().unmap().unwrap();
                map.detach().unwrap();
                assert_eq!(attachments(&segment), 0);
            }
        }
    });
}
