//! POSIX shared memory objects.

use crate::child::{Child, STRANGER, as_stranger, become_stranger, in_child, is_root, own_shm, skip};
use neap_map::{Allocation, Kind, Mode, NewOwner, Origin, Owner, Shm};
use std::ffi::OsString;
use std::io::{Read, Write};

/// A name of this test's own, removed when it ends.
struct Name(String);

impl Name {
    fn new(what: &str) -> Name {
        Name(format!("neap-test-{}-{what}", std::process::id()))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = Shm::unlink(&self.0);
    }
}

#[test]
fn an_object_is_created_opened_and_shared() {
    as_stranger(|| {
        let name = Name::new("shared");
        assert_eq!(Shm::open(&name.0).unwrap_err().kind(), Kind::NotFound);
        let shm = Shm::named(&name.0).create(10_000).unwrap();
        assert_eq!(
            Shm::named(&name.0).create(1).unwrap_err().kind(),
            Kind::AlreadyExists
        );
        let stat = shm.stat().unwrap();
        assert_eq!((stat.len, stat.mode, stat.named), (10_000, Mode::OWNER, true));
        assert!(stat.allocated >= 10_000);
        let map = shm.map().unwrap();
        let other = Child::start(|| {
            let there = Shm::open(format!("/{}", name.0)).unwrap().map().unwrap();
            there.write_at(9_999, b"!").unwrap();
        });
        assert_eq!(other.end(), Ok(0));
        assert_eq!(map.read::<u8>(9_999).unwrap(), b'!');
        let (_, origin) = Shm::named(&name.0).open_or_create(1).unwrap();
        assert_eq!(origin, Origin::Found);
        Shm::unlink(&name.0).unwrap();
        assert_eq!(Shm::unlink(&name.0).unwrap_err().kind(), Kind::NotFound);
        assert!(!shm.stat().unwrap().named);
        drop(shm);
        map.write_at(0, b"the map lives").unwrap();
        assert_eq!(map.read::<u8>(9_999).unwrap(), b'!');
        let (_, origin) = Shm::named(&name.0).open_or_create(1).unwrap();
        assert_eq!(origin, Origin::Created);
    });
}

#[test]
fn a_bad_name_is_refused_by_every_call() {
    let long = "x".repeat(256);
    for bad in ["", "/", "a/b", "//a", ".", "..", "/..", "a\0", &long] {
        let kinds = [
            Shm::named(bad).create(1).unwrap_err().kind(),
            Shm::named(bad).open_or_create(1).unwrap_err().kind(),
            Shm::open(bad).unwrap_err().kind(),
            Shm::open_read_only(bad).unwrap_err().kind(),
            Shm::unlink(bad).unwrap_err().kind(),
        ];
        assert_eq!(kinds, [Kind::BadName; 5], "{bad:?}");
    }
    for bad in ["", "/", "a/", "a\0"] {
        assert_eq!(Shm::reap_stale(bad).unwrap_err().kind(), Kind::BadName);
    }
    let name = Name("y".repeat(255));
    Shm::named(&name.0).create(1).unwrap();
}

#[test]
fn an_object_open_for_reading_is_not_written() {
    let name = Name::new("reading");
    let shm = Shm::named(&name.0).create(4096).unwrap();
    shm.map().unwrap().write_at(0, b"text").unwrap();
    let reader = Shm::open_read_only(&name.0).unwrap();
    assert_eq!(reader.map().unwrap_err().kind(), Kind::AccessDenied);
    assert_eq!(
        reader.file_map().map().unwrap().read::<[u8; 4]>(0).unwrap(),
        *b"text"
    );
    for (len, how) in [
        (0, Allocation::UpFront),
        (9000, Allocation::UpFront),
        (9000, Allocation::Sparse),
    ] {
        assert_eq!(reader.set_len(len, how).unwrap_err().kind(), Kind::AccessDenied);
    }
}

#[test]
fn rights_are_the_owners_to_give() {
    in_child(|| {
        if !is_root() {
            return skip("another user", &"not root");
        }
        let name = Name::new("rights");
        let shm = Shm::named(&name.0).create(4096).unwrap();
        as_stranger(|| {
            assert_eq!(Shm::open(&name.0).unwrap_err().kind(), Kind::AccessDenied);
            let denied = Shm::unlink(&name.0).unwrap_err().kind();
            assert!(matches!(denied, Kind::AccessDenied | Kind::NotPermitted));
        });
        shm.set_mode(Mode::new(0o644).unwrap()).unwrap();
        assert_eq!(shm.stat().unwrap().mode.bits(), 0o644);
        as_stranger(|| {
            assert_eq!(Shm::open(&name.0).unwrap_err().kind(), Kind::AccessDenied);
            let reader = Shm::open_read_only(&name.0).unwrap();
            let mode = Mode::new(0o666).unwrap();
            assert_eq!(reader.set_mode(mode).unwrap_err().kind(), Kind::NotPermitted);
            let mine = NewOwner::User(STRANGER);
            assert_eq!(reader.set_owner(mine).unwrap_err().kind(), Kind::NotPermitted);
        });
        let owner = Owner {
            uid: STRANGER,
            gid: STRANGER,
        };
        shm.set_owner(NewOwner::Group(STRANGER)).unwrap();
        assert_eq!(
            shm.stat().unwrap().owner,
            Owner {
                uid: 0,
                gid: STRANGER
            }
        );
        shm.set_owner(NewOwner::Both(owner)).unwrap();
        assert_eq!(shm.stat().unwrap().owner, owner);
        assert_eq!(
            shm.set_owner(NewOwner::User(u32::MAX)).unwrap_err().kind(),
            Kind::Invalid
        );
        as_stranger(|| {
            Shm::open(&name.0).unwrap().set_mode(Mode::OWNER).unwrap();
            Shm::unlink(&name.0).unwrap();
        });
    });
}

#[test]
fn a_full_file_system_is_an_error_of_the_call_that_takes_the_room() {
    in_child(|| {
        if !own_shm(1 << 20) {
            return skip("a small /dev/shm", &"may not mount");
        }
        assert_eq!(
            Shm::named("big").create(2 << 20).unwrap_err().kind(),
            Kind::StorageFull
        );
        assert!(Shm::list().unwrap().is_empty(), "nothing is left of it");
        let half = Shm::named("half").create(600_000).unwrap();
        assert_eq!(
            Shm::named("more").create(600_000).unwrap_err().kind(),
            Kind::StorageFull
        );
        let error = half.set_len(1_200_000, Allocation::UpFront).unwrap_err();
        assert_eq!(error.kind(), Kind::StorageFull);
        assert_eq!(half.stat().unwrap().len, 600_000, "as it was");
        let sparse = Shm::named("sparse")
            .allocation(Allocation::Sparse)
            .create(4 << 20)
            .unwrap();
        assert_eq!(sparse.stat().unwrap().allocated, 0);
        let error = sparse.map().unwrap().write_at(0, &vec![1; 4 << 20]).unwrap_err();
        assert_eq!(error.kind(), Kind::StorageFull, "{error}");
        assert!(error.range().start > 0);
    });
}

#[test]
fn all_objects_are_listed_and_foreign_things_are_not_opened() {
    in_child(|| {
        if !own_shm(1 << 20) {
            return skip("a /dev/shm of one's own", &"may not mount");
        }
        Shm::named("one").create(1).unwrap();
        Shm::named("two")
            .mode(Mode::new(0o600).unwrap())
            .create(2)
            .unwrap();
        std::fs::create_dir("/dev/shm/folder").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", "/dev/shm/link").unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            "/dev/shm/pipe",
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let mut list: Vec<_> = Shm::list()
            .unwrap()
            .into_iter()
            .map(|(name, stat)| (name, stat.len))
            .collect();
        list.sort();
        assert_eq!(list, [(OsString::from("one"), 1), (OsString::from("two"), 2)]);
        for foreign in ["folder", "link", "pipe"] {
            assert_eq!(Shm::open(foreign).unwrap_err().kind(), Kind::Foreign, "{foreign}");
            assert_eq!(
                Shm::open_read_only(foreign).unwrap_err().kind(),
                Kind::Foreign,
                "{foreign}"
            );
        }
        let reaped = Shm::reap_stale("l").unwrap();
        assert!(reaped.removed.is_empty() && reaped.denied.is_empty() && reaped.held.is_empty());
        as_stranger(|| assert_eq!(Shm::list().unwrap().len(), 2));
    });
}

/// A child that holds what `make` answers with until it is killed.
fn holder<T>(make: impl FnOnce() -> T) -> Child {
    let (mut ready, mut tell) = std::io::pipe().unwrap();
    let child = Child::start(|| {
        let _held = make();
        tell.write_all(b"x").unwrap();
        loop {
            std::thread::park();
        }
    });
    ready.read_exact(&mut [0]).unwrap();
    child
}

#[test]
fn names_of_the_dead_are_reaped_and_those_of_the_living_are_not() {
    as_stranger(|| {
        let names = ["dead", "living", "mapped", "opened"].map(Name::new);
        let [dead, living, mapped, opened] = names.each_ref().map(|name| OsString::from(&name.0));
        let prefix = Name::new("").0.clone();
        let creators = [
            holder(|| Shm::named(&dead).create(1).unwrap()),
            holder(|| Shm::named(&living).create(1).unwrap()),
            // The descriptor is closed, the map holds the lock.
            holder(|| Shm::named(&mapped).create(1).unwrap().map().unwrap()),
            holder(|| Shm::named(&opened).create(1).unwrap()),
        ];
        let user = holder(|| Shm::open_read_only(&opened).unwrap());
        let sorted = |mut names: Vec<OsString>| {
            names.sort();
            names
        };
        let reaped = Shm::reap_stale(&prefix).unwrap();
        assert!(reaped.removed.is_empty());
        assert_eq!(
            sorted(reaped.held),
            [dead.clone(), living.clone(), mapped.clone(), opened.clone()]
        );
        let [first, second, third, fourth] = creators;
        for creator in [first, fourth] {
            creator.kill();
            assert_eq!(creator.end(), Err(libc::SIGKILL));
        }
        let reaped = Shm::reap_stale(format!("/{prefix}")).unwrap();
        assert_eq!(reaped.removed, [dead]);
        assert_eq!(
            sorted(reaped.held),
            [living.clone(), mapped.clone(), opened.clone()]
        );
        drop((second, third, user));
        assert_eq!(
            sorted(Shm::reap_stale(&prefix).unwrap().removed),
            [living, mapped, opened]
        );
    });
}

#[test]
fn what_may_not_be_reaped_is_said() {
    if !is_root() {
        return skip("another user's object", &"not root");
    }
    in_child(|| {
        let name = Name::new("roots");
        drop(Shm::named(&name.0).create(1).unwrap());
        as_stranger(|| {
            let reaped = Shm::reap_stale(&name.0).unwrap();
            assert_eq!(reaped.denied.len(), 1);
            assert_eq!(reaped.denied[0].1.kind(), Kind::AccessDenied);
            assert!(reaped.removed.is_empty());
        });
        assert_eq!(Shm::reap_stale(&name.0).unwrap().removed.len(), 1);
    });
}

#[test]
fn of_many_that_create_reap_and_open_nobody_sees_half_an_object() {
    let name = Name::new("race");
    in_child(|| {
        become_stranger();
        let start = || {
            Child::start(|| {
                for _ in 0..300 {
                    let (shm, origin) = Shm::named(&name.0).open_or_create(5000).unwrap();
                    let stat = shm.stat().unwrap();
                    assert_eq!(stat.len, 5000);
                    assert!(stat.allocated >= 5000);
                    // Held by us, so nobody reaps it.
                    assert!(stat.named);
                    if origin == Origin::Created {
                        assert!(shm.stat().unwrap().named);
                    }
                    drop(shm);
                    Shm::reap_stale(&name.0).unwrap();
                }
            })
        };
        let all: Vec<Child> = (0..4).map(|_| start()).collect();
        for child in all {
            assert_eq!(child.end(), Ok(0));
        }
    });
}
