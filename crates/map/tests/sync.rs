//! What each lock in shared memory does, among threads and real processes.
#![allow(unsafe_code)]

#[path = "sync_kill/process.rs"]
mod process;

use neap_map::sync::{
    Attempt, Barrier, Common, Condition, Error, LockError, Mutex, Once, OwnerDied, Permits, RwLock,
    Semaphore, Turn, Woken, attach, init_at,
};
use process::{end_of, fork, kill};
use std::mem::forget;
use std::ptr::NonNull;
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(50);

fn counter(value: u64) -> Common<Mutex<u64>> {
    Common::new(value).unwrap()
}

/// The guard of a lock whose last owner died.
fn died<T, G>(outcome: Result<T, LockError<G>>) -> OwnerDied<G>
where
    G: neap_map::sync::Condemn,
{
    match outcome {
        Err(LockError::OwnerDied(guard)) => guard,
        Err(LockError::Failed(error)) => panic!("not held: {error}"),
        Ok(_) => panic!("the last owner let go in order"),
    }
}

#[test]
fn an_owner_that_exits_is_told_of_and_the_value_recovered() {
    let mutex = counter(1);
    let child = fork(|| {
        let mut guard = mutex.lock().unwrap();
        *guard = 2;
        forget(guard);
    });
    assert_eq!(end_of(child), Ok(0));
    let mut guard = died(mutex.lock());
    assert_eq!(**guard, 2);
    **guard = 3;
    drop(guard.recover());
    assert_eq!(*mutex.lock().unwrap(), 3);
}

#[test]
fn a_value_that_nobody_recovers_is_lost_for_all() {
    let mutex = counter(1);
    assert_eq!(end_of(fork(|| forget(mutex.lock().unwrap()))), Ok(0));
    drop(died(mutex.lock()));
    for _ in 0..2 {
        assert_eq!(mutex.lock().unwrap_err().failure(), Some(Error::NotRecoverable));
        assert_eq!(
            mutex.try_lock().unwrap_err().failure(),
            Some(Error::NotRecoverable)
        );
    }
    let there = || {
        assert_eq!(
            mutex.lock_for(LONG).unwrap_err().failure(),
            Some(Error::NotRecoverable)
        )
    };
    assert_eq!(end_of(fork(there)), Ok(0));
}

#[test]
fn a_recoverer_that_dies_in_turn_is_told_of() {
    let mutex = counter(1);
    assert_eq!(end_of(fork(|| forget(mutex.lock().unwrap()))), Ok(0));
    assert_eq!(end_of(fork(|| forget(died(mutex.lock())))), Ok(0));
    assert_eq!(*died(mutex.lock()).recover(), 1);
}

#[test]
fn a_thread_that_ends_and_one_that_panics_are_told_of() {
    let mutex = counter(1);
    std::thread::scope(|s| s.spawn(|| forget(mutex.lock().unwrap())).join()).unwrap();
    assert_eq!(*died(mutex.lock()).recover(), 1);
    let panicked = std::thread::scope(|s| {
        let thread = s.spawn(|| {
            let mut guard = mutex.lock().unwrap();
            *guard = 2;
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        thread.join().is_err()
    });
    assert!(panicked);
    assert_eq!(*died(mutex.lock()).recover(), 2);
    assert_eq!(*mutex.lock().unwrap(), 2);
}

#[test]
fn an_owner_that_calls_exec_is_told_of() {
    let mutex = counter(1);
    let child = fork(|| {
        forget(mutex.lock().unwrap());
        let program = c"/bin/true";
        let arguments = [program.as_ptr(), std::ptr::null()];
        // SAFETY: a program and its arguments, ended by null.
        unsafe { libc::execv(program.as_ptr(), arguments.as_ptr()) };
        panic!("no {program:?}");
    });
    let mut guard = loop {
        match mutex.lock_for(LONG) {
            Err(LockError::OwnerDied(guard)) => break guard.recover(),
            Err(LockError::Failed(error)) => panic!("the child holds it: {error}"),
            Ok(guard) => drop(guard), // The child comes later.
        }
    };
    *guard += 1;
    assert_eq!(end_of(child), Ok(0));
}

#[test]
fn a_sleeper_is_woken_by_the_owners_kill() {
    let mutex = counter(1);
    let holding = Common::<Semaphore>::new(0).unwrap();
    let owner = fork(|| {
        let _guard = mutex.lock().unwrap();
        holding.release().unwrap();
        std::thread::sleep(LONG);
    });
    holding.acquire_for(LONG).unwrap();
    let sleeper = fork(|| drop(died(mutex.lock_for(LONG)).recover()));
    std::thread::sleep(MOMENT);
    kill(owner);
    assert_eq!((end_of(owner), end_of(sleeper)), (Err(libc::SIGKILL), Ok(0)));
}

#[test]
fn what_is_held_cannot_be_taken_again() {
    let mutex = counter(1);
    let guard = mutex.lock().unwrap();
    assert_eq!(mutex.lock().unwrap_err().failure(), Some(Error::Deadlock));
    assert_eq!(mutex.try_lock().unwrap_err().failure(), Some(Error::Deadlock));
    std::thread::scope(|s| {
        s.spawn(|| {
            assert_eq!(mutex.try_lock().unwrap_err().failure(), Some(Error::WouldBlock));
            assert_eq!(
                mutex.lock_for(MOMENT).unwrap_err().failure(),
                Some(Error::TimedOut)
            );
            assert_eq!(
                mutex.lock_for(Duration::ZERO).unwrap_err().failure(),
                Some(Error::TimedOut)
            );
        });
    });
    drop(guard);
    assert_eq!(*mutex.lock_for(Duration::ZERO).unwrap(), 1);
}

#[test]
fn guards_may_be_dropped_in_any_order() {
    let mutexes = Common::<[Mutex<u32>; 3]>::new([0, 1, 2]).unwrap();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut guards = [0, 1, 2].map(|i| Some(mutexes[i].lock().unwrap()));
        for i in order {
            guards[i] = None;
            drop(mutexes[i].try_lock().unwrap());
        }
    }
    assert_eq!(
        end_of(fork(|| [0, 2, 1]
            .into_iter()
            .for_each(|i| forget(mutexes[i].lock().unwrap())))),
        Ok(0)
    );
    for mutex in mutexes.iter() {
        drop(died(mutex.lock()).recover());
    }
}

#[test]
fn four_processes_of_two_threads_count_together() {
    const TIMES: u64 = 5000;
    let mutex = counter(0);
    let children = [(); 4].map(|()| {
        fork(|| {
            std::thread::scope(|s| {
                for _ in 0..2 {
                    s.spawn(|| (0..TIMES).for_each(|_| *mutex.lock().unwrap() += 1));
                }
            });
        })
    });
    assert_eq!(children.map(end_of), [Ok(0); 4]);
    assert_eq!(*mutex.try_lock().unwrap(), 4 * 2 * TIMES);
}

#[test]
fn after_a_fork_the_guard_is_the_parents() {
    let mutex = counter(1);
    let mut guard = Some(mutex.lock().unwrap());
    let child = fork(|| {
        assert_eq!(mutex.try_lock().unwrap_err().failure(), Some(Error::WouldBlock));
        guard = None;
        assert_eq!(mutex.try_lock().unwrap_err().failure(), Some(Error::WouldBlock));
    });
    assert_eq!(end_of(child), Ok(0));
    assert_eq!(mutex.try_lock().unwrap_err().failure(), Some(Error::Deadlock));
    guard = None;
    assert!(guard.is_none());
    // The child's own locks are its own, and the kernel knows of them.
    assert_eq!(end_of(fork(|| forget(mutex.lock().unwrap()))), Ok(0));
    drop(died(mutex.lock()).recover());
}

#[test]
fn a_forgotten_guard_keeps_the_memory_mapped() {
    let mutex = counter(1);
    let address = std::ptr::from_ref(&*mutex).addr();
    let mapped = |address: usize| {
        let mut page = 0u8;
        // SAFETY: mincore writes one byte for one page, or fails with ENOMEM if nothing is mapped there.
        unsafe { libc::mincore((address & !4095) as *mut libc::c_void, 1, &raw mut page) == 0 }
    };
    let child = fork(|| {
        forget(mutex.lock().unwrap());
        // SAFETY: the child's copy, which it does not use again.
        drop(unsafe { std::ptr::read(&raw const mutex) });
        assert!(mapped(address));
        // The list of this thread still leads through it: other locks come and go.
        let other = counter(0);
        drop(other.lock().unwrap());
    });
    assert_eq!(end_of(child), Ok(0));
    let child = fork(|| {
        drop(died(mutex.lock()).recover());
        // SAFETY: as above.
        drop(unsafe { std::ptr::read(&raw const mutex) });
        assert!(!mapped(address));
    });
    assert_eq!(end_of(child), Ok(0));
}

#[test]
fn only_what_was_made_there_is_attached() {
    #[repr(align(8))]
    struct Bytes([u8; 256]);
    let bytes: &'static mut Bytes = Box::leak(Box::new(Bytes([0; 256])));
    let start = NonNull::from(&mut bytes.0).cast::<u8>();
    let place = |from: usize, len: usize| {
        // SAFETY: inside the 256 bytes.
        NonNull::slice_from_raw_parts(unsafe { start.add(from) }, len)
    };
    // SAFETY: (1) leaked memory stays for ever. (2) this test alone uses it. (3) and from here on only so.
    unsafe {
        assert_eq!(
            attach::<Mutex<u64>>(place(0, 256)).unwrap_err(),
            Error::NotInitialised
        );
        for bad in [place(0, 55), place(4, 252)] {
            assert_eq!(
                init_at::<Mutex<u64>>(bad, 0).unwrap_err(),
                Error::Place { align: 8, size: 56 }
            );
        }
        let made = init_at::<Mutex<u64>>(place(8, 248), 7).unwrap();
        let found = attach::<Mutex<u64>>(place(8, 248)).unwrap();
        assert_eq!(*found.lock().unwrap(), 7);
        assert!(std::ptr::eq(made, found));
        let wrong = attach::<Once>(place(8, 248)).unwrap_err();
        assert_eq!(
            wrong,
            Error::WrongKind {
                expected: 0x6e70_0106,
                found: 0x6e70_0101
            }
        );
        let longer = attach::<Mutex<[u64; 2]>>(place(8, 248)).unwrap_err();
        assert_eq!(
            longer,
            Error::WrongSize {
                expected: 64,
                found: 56
            }
        );
        assert!(longer.to_string().contains("56 bytes there and 64 here"));
        start.write_bytes(0xff, 256);
        assert!(matches!(
            attach::<Mutex<u64>>(place(8, 248)),
            Err(Error::WrongKind { .. })
        ));
    }
}

#[test]
fn readers_read_together_and_a_writer_is_alone() {
    let lock = Common::<RwLock<u64, 3>>::new(1).unwrap();
    let readers = [lock.read().unwrap(), lock.read().unwrap()];
    std::thread::scope(|s| {
        s.spawn(|| {
            let third = lock.read().unwrap();
            assert_eq!(
                lock.try_read().unwrap_err().failure(),
                Some(Error::TooManyReaders)
            );
            drop(third);
            assert_eq!(lock.try_write().unwrap_err().failure(), Some(Error::WouldBlock));
            assert_eq!(
                lock.write_for(MOMENT).unwrap_err().failure(),
                Some(Error::TimedOut)
            );
            assert_eq!(*lock.try_read().unwrap(), 1);
        });
    });
    assert_eq!(lock.write().unwrap_err().failure(), Some(Error::Deadlock));
    drop(readers);
    let mut writer = lock.write().unwrap();
    *writer = 2;
    assert_eq!(lock.read().unwrap_err().failure(), Some(Error::Deadlock));
    std::thread::scope(|s| {
        let thread = s.spawn(|| {
            assert_eq!(lock.try_read().unwrap_err().failure(), Some(Error::WouldBlock));
            assert_eq!(
                lock.read_for(MOMENT).unwrap_err().failure(),
                Some(Error::TimedOut)
            );
        });
        thread.join().unwrap();
        s.spawn(|| assert_eq!(*lock.read_for(LONG).unwrap(), 2));
        std::thread::sleep(MOMENT);
        drop(writer);
    });
}

#[test]
fn dead_readers_stop_no_writer_and_a_dead_writer_is_told_to_readers() {
    let lock = Common::<RwLock<u64, 2>>::new(1).unwrap();
    let both = || (0..2).for_each(|_| forget(lock.read().unwrap()));
    assert_eq!(end_of(fork(both)), Ok(0));
    // A writer that sleeps on a reader's place is woken by the reader's kill.
    let reading = Common::<Semaphore>::new(0).unwrap();
    let reader = fork(|| {
        let _guard = lock.read().unwrap();
        reading.release().unwrap();
        std::thread::sleep(LONG);
    });
    reading.acquire_for(LONG).unwrap();
    let writer = fork(|| {
        let mut guard = lock.write_for(LONG).unwrap();
        *guard = 2;
        forget(guard);
    });
    std::thread::sleep(MOMENT);
    kill(reader);
    assert_eq!((end_of(reader), end_of(writer)), (Err(libc::SIGKILL), Ok(0)));
    let mut guard = died(lock.read());
    assert_eq!(**guard, 2);
    **guard = 3;
    drop(guard.recover());
    assert_eq!(*lock.read().unwrap(), 3);
    // Nobody puts it in order: it is lost, for readers and writers.
    assert_eq!(end_of(fork(|| forget(lock.write().unwrap()))), Ok(0));
    drop(died(lock.write()));
    assert_eq!(lock.read().unwrap_err().failure(), Some(Error::NotRecoverable));
    assert_eq!(lock.write().unwrap_err().failure(), Some(Error::NotRecoverable));
}

#[test]
fn a_writer_that_dies_waiting_has_changed_nothing() {
    let lock = Common::<RwLock<u64>>::new(1).unwrap();
    let reader = lock.read().unwrap();
    let waiter = fork(|| drop(lock.write_for(LONG)));
    while lock.try_read().is_ok() {
        std::thread::yield_now();
    }
    kill(waiter);
    assert_eq!(end_of(waiter), Err(libc::SIGKILL));
    drop(reader);
    assert_eq!(*lock.read_for(LONG).unwrap(), 1);
    assert_eq!(*lock.write_for(LONG).unwrap(), 1);
}

#[test]
fn notifications_reach_waiters_and_all_of_them() {
    let (value, changed) = (counter(0), Common::<Condition>::new(()).unwrap());
    let children = [(); 3].map(|()| {
        fork(|| {
            let guard = value.lock().unwrap();
            let (mut guard, woken) = changed.wait_while_for(guard, LONG, |v| *v == 0).unwrap();
            assert_eq!(woken, Woken::Perhaps);
            *guard += 1;
        })
    });
    std::thread::sleep(MOMENT);
    *value.lock().unwrap() = 1;
    changed.notify_all();
    assert_eq!(children.map(end_of), [Ok(0); 3]);
    assert_eq!(*value.lock().unwrap(), 4);
}

#[test]
fn a_waiter_learns_that_the_owner_died_meanwhile() {
    let (value, changed) = (counter(0), Common::<Condition>::new(()).unwrap());
    let guard = value.lock().unwrap();
    let child = fork(|| {
        let mut guard = value.lock().unwrap();
        *guard = 1;
        changed.notify_one();
        forget(guard);
    });
    let guard = died(changed.wait_while(guard, |v| *v == 0)).recover();
    assert_eq!(end_of(child), Ok(0));
    assert_eq!(*guard, 1);
}

#[test]
fn a_notifier_that_dies_before_it_notifies_hangs_nobody() {
    let (value, changed) = (counter(0), Common::<Condition>::new(()).unwrap());
    let guard = value.lock().unwrap();
    let child = fork(|| *value.lock().unwrap() = 1);
    let guard = changed.wait_while(guard, |v| *v == 0).unwrap();
    assert_eq!(*guard, 1);
    assert_eq!(end_of(child), Ok(0));
}

#[test]
fn a_semaphore_counts_between_processes() {
    let things = Common::<Semaphore>::new(0).unwrap();
    assert_eq!(things.try_acquire(), Err(Error::WouldBlock));
    assert_eq!(things.acquire_for(MOMENT), Err(Error::TimedOut));
    let takers = [(); 3].map(|()| fork(|| (0..100).for_each(|_| things.acquire_for(LONG).unwrap())));
    let givers = [(); 3].map(|()| fork(|| (0..100).for_each(|_| things.release().unwrap())));
    assert_eq!((takers.map(end_of), givers.map(end_of)), ([Ok(0); 3], [Ok(0); 3]));
    assert_eq!(things.count(), 0);
    let full = Common::<Semaphore>::new(Semaphore::MAX).unwrap();
    assert_eq!(full.release(), Err(Error::Overflow));
    assert_eq!(
        Common::<Semaphore>::new(Semaphore::MAX + 1).unwrap_err(),
        Error::Overflow
    );
}

#[test]
fn the_permits_of_a_killed_process_come_back_to_one_that_waits() {
    let permits = Common::<Permits<2>>::new(()).unwrap();
    let holding = Common::<Semaphore>::new(0).unwrap();
    let holder = fork(|| {
        let _both = [permits.acquire().unwrap(), permits.acquire().unwrap()];
        holding.release().unwrap();
        std::thread::sleep(LONG);
    });
    holding.acquire_for(LONG).unwrap();
    assert_eq!(permits.free(), 0);
    assert_eq!(permits.acquire_for(MOMENT).unwrap_err(), Error::TimedOut);
    let waiters = [(); 2].map(|()| fork(|| forget(permits.acquire_for(LONG).unwrap())));
    std::thread::sleep(MOMENT);
    kill(holder);
    assert_eq!(end_of(holder), Err(libc::SIGKILL));
    assert_eq!(waiters.map(end_of), [Ok(0); 2]);
    assert_eq!(permits.free(), 2);
}

#[test]
fn what_died_half_way_is_done_again() {
    let once = Common::<Once>::new(()).unwrap();
    let dies = || once.call(|_| exit_half_way()).unwrap();
    assert_eq!(end_of(fork(dies)), Ok(7));
    assert!(!once.is_done());
    let panics = || {
        once.call(|attempt| {
            assert_eq!(attempt, Attempt::AfterDeath);
            std::panic::resume_unwind(Box::new("on purpose"));
        })
    };
    assert!(std::panic::catch_unwind(panics).is_err());
    let inner = once.call(|attempt| {
        assert_eq!(attempt, Attempt::AfterDeath);
        assert_eq!(once.call(|_| ()), Err(Error::Deadlock));
        let other = || assert_eq!(once.call_for(MOMENT, |_| ()), Err(Error::TimedOut));
        std::thread::scope(|s| s.spawn(other).join()).unwrap();
    });
    assert_eq!(inner, Ok(()));
    once.call(|_| panic!("it is done")).unwrap();
    assert_eq!(
        end_of(fork(|| once.call(|_| panic!("it is done")).unwrap())),
        Ok(0)
    );
}

fn exit_half_way() {
    // SAFETY: no conditions.
    unsafe { libc::_exit(7) };
}

#[test]
fn processes_meet_at_a_barrier_round_after_round() {
    const ROUNDS: u64 = 200;
    let barrier = Common::<Barrier<3>>::new(()).unwrap();
    let leaders = counter(0);
    let children = [(); 3].map(|()| {
        fork(|| {
            let seat = barrier.join().unwrap();
            for _ in 0..ROUNDS {
                if seat.wait().unwrap() == Turn::Leader {
                    *leaders.lock().unwrap() += 1;
                }
            }
            // Nobody gives its seat back before the others are through.
            seat.wait().unwrap();
        })
    });
    assert_eq!(children.map(end_of), [Ok(0); 3]);
    assert_eq!(*leaders.lock().unwrap(), ROUNDS);
}

#[test]
fn a_barrier_is_broken_by_a_death_and_by_one_that_gives_up() {
    let barrier = Common::<Barrier<2>>::new(()).unwrap();
    let seat = barrier.join().unwrap();
    assert_eq!(end_of(fork(|| forget(barrier.join().unwrap()))), Ok(0));
    assert_eq!(barrier.join().unwrap_err(), Error::NoSeat);
    assert_eq!(seat.wait_for(LONG), Err(Error::Broken));
    assert_eq!(
        end_of(fork(|| assert_eq!(seat.wait(), Err(Error::Forked)))),
        Ok(0)
    );
    barrier.recover().unwrap();
    let given_up = Common::<Semaphore>::new(0).unwrap();
    let other = fork(|| {
        let seat = barrier.join().unwrap();
        seat.wait().unwrap();
        given_up.acquire_for(LONG).unwrap();
        assert_eq!(seat.wait(), Err(Error::Broken));
    });
    seat.wait_for(LONG).unwrap();
    assert_eq!(seat.wait_for(Duration::ZERO), Err(Error::TimedOut));
    assert!(barrier.is_broken());
    given_up.release().unwrap();
    assert_eq!(end_of(other), Ok(0));
}
