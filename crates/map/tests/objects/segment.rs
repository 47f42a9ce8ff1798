//! Segments that are complete whenever somebody finds them.
#![allow(unsafe_code)]

use crate::child::{Child, as_stranger, in_child};
use neap_map::sync::{Mutex, Semaphore};
use neap_map::{Error, Kind, Memfd, Origin, Seals, Segment, Shm, parcel};
use std::os::fd::AsFd;

type Counter = Segment<Mutex<u64>>;

struct Name(String);

impl Name {
    fn new(what: &str) -> Name {
        Name(format!("neap-test-{}-segment-{what}", std::process::id()))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = Shm::unlink(&self.0);
    }
}

fn counter(name: &Name, mut initial: impl FnMut() -> u64) -> Result<(Counter, Origin), Error> {
    // SAFETY: (1, 2, 3) the name is this test's, whose processes use it as segments only and are of one
    // namespace.
    unsafe { Counter::create_or_attach(&name.0, &mut initial) }
}

#[test]
fn two_processes_use_one_object() {
    as_stranger(|| {
        let name = Name::new("two");
        let (here, origin) = counter(&name, || 5).unwrap();
        assert_eq!(origin, Origin::Created);
        let child = Child::start(|| {
            let (there, origin) = counter(&name, || 99).unwrap();
            assert_eq!(origin, Origin::Found);
            *there.lock().unwrap() += 1;
        });
        assert_eq!(child.end(), Ok(0));
        assert_eq!(*here.lock().unwrap(), 6);
        // SAFETY: (1) as in `counter`.
        let again = unsafe { Counter::create(&name.0, || 0) };
        assert_eq!(again.unwrap_err().kind(), Kind::AlreadyExists);
        assert_eq!(Shm::reap_stale(&name.0).unwrap().held.len(), 1, "attached");
        drop(here);
        assert_eq!(Shm::reap_stale(&name.0).unwrap().removed.len(), 1);
        // SAFETY: (1) as in `counter`.
        let gone = unsafe { Counter::attach(&name.0) };
        assert_eq!(gone.unwrap_err().kind(), Kind::NotFound);
    });
}

#[test]
fn what_is_not_such_a_segment_is_foreign() {
    in_child(|| {
        let name = Name::new("foreign");
        let kind = || counter(&name, || 0).unwrap_err().kind();
        for len in [0, 10, 4096] {
            let _plain = Shm::named(&name.0).create(len).unwrap();
            assert_eq!(kind(), Kind::Foreign, "{len} zeros");
            Shm::unlink(&name.0).unwrap();
        }
        // SAFETY: (1, 2, 3) as in `counter`.
        let other = unsafe { Segment::<Mutex<i64>>::create_or_attach(&name.0, || 0) };
        other.unwrap();
        assert_eq!(kind(), Kind::Foreign, "the same size, another type");
        Shm::unlink(&name.0).unwrap();
        // SAFETY: (1, 2, 3) as in `counter`.
        let other = unsafe { Segment::<Semaphore>::create_or_attach(&name.0, || 0) };
        other.unwrap();
        assert_eq!(kind(), Kind::Foreign, "another type");
        Shm::unlink(&name.0).unwrap();
        // Each word of the header, and the object's own.
        for spoilt in [0, 8, 16, 24, 32, 64] {
            drop(counter(&name, || 7).unwrap());
            let raw = Shm::open(&name.0).unwrap().map().unwrap();
            let good = raw.read::<u8>(spoilt).unwrap();
            raw.write(spoilt, &(good ^ 0x80)).unwrap();
            assert_eq!(kind(), Kind::Foreign, "byte {spoilt}");
            raw.write(spoilt, &good).unwrap();
            assert_eq!(*counter(&name, || 0).unwrap().0.lock().unwrap(), 7);
            Shm::unlink(&name.0).unwrap();
        }
    });
}

#[test]
fn a_segment_without_a_name_goes_by_its_descriptor() {
    let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
    // SAFETY: (1, 2) only this test and its child have it, as segments.
    let (segment, memfd) = unsafe { Counter::create_unnamed(1) }.unwrap();
    assert_eq!(memfd.shrink(0).unwrap_err().kind(), Kind::SealedAgainst);
    let child = Child::start(|| {
        let parcel = parcel::receive(&there, &mut [0; 1]).unwrap().unwrap();
        let memfd = Memfd::try_from(parcel.descriptors.into_iter().next().unwrap()).unwrap();
        // SAFETY: (1) as above.
        let same = unsafe { Counter::attach_unnamed(&memfd) }.unwrap();
        *same.lock().unwrap() += 1;
    });
    parcel::send(&here, b"x", &[memfd.as_fd()]).unwrap();
    assert_eq!(child.end(), Ok(0));
    assert_eq!(*segment.lock().unwrap(), 2);
    let len = memfd.len().unwrap();
    for (len, seals) in [
        (len, Seals::NONE),
        (len, Seals::SHRINK | Seals::GROW),
        (len + 1, Seals::SHRINK),
    ] {
        let other = Memfd::named("other").create(len).unwrap();
        other.seal(seals).unwrap();
        // SAFETY: (1) nobody else has it.
        let error = unsafe { Counter::attach_unnamed(&other) }.unwrap_err();
        assert_eq!(error.kind(), Kind::Foreign);
    }
}

#[test]
fn of_sixteen_that_create_one_makes_it_whoever_is_killed() {
    const PROCESSES: usize = 16;
    const ROUNDS: usize = 200;
    const CREATED: i32 = 10;
    in_child(|| {
        let mut killed = 0;
        for round in 0..ROUNDS {
            let name = Name::new(&format!("race-{round}"));
            let start = |number: usize| {
                let name = &name;
                Child::start(move || {
                    let initial = || {
                        if number.is_multiple_of(4) {
                            // Allocated, mapped, with its header, and not yet an object.
                            // SAFETY: no conditions.
                            unsafe { libc::raise(libc::SIGKILL) };
                        }
                        u64::from(std::process::id()) << 32
                    };
                    let (counter, origin) = counter(name, initial).unwrap();
                    *counter.lock().unwrap() += 1;
                    if origin == Origin::Created {
                        // SAFETY: no conditions.
                        unsafe { libc::_exit(CREATED) };
                    }
                })
            };
            let all: Vec<Child> = (0..PROCESSES).map(start).collect();
            let (mut alive, mut creators) = (0, Vec::new());
            for child in all {
                let pid = child.pid();
                match child.end() {
                    Ok(0) => alive += 1,
                    Ok(CREATED) => {
                        alive += 1;
                        creators.push(pid);
                    }
                    Err(libc::SIGKILL) => killed += 1,
                    end => panic!("{end:?}"),
                }
            }
            assert_eq!(creators.len(), 1);
            let (same, origin) = counter(&name, || 0).unwrap();
            assert_eq!(origin, Origin::Found);
            let value = *same.lock().unwrap();
            assert_eq!(
                value,
                u64::from(creators[0]) << 32 | alive,
                "one value, and everybody's 1"
            );
        }
        assert!(killed > 0, "somebody was killed in the middle");
        let own = format!("neap-test-{}-segment-race", std::process::id());
        assert!(
            Shm::reap_stale(own).unwrap().removed.is_empty(),
            "nothing is left of the killed"
        );
    });
}
