//! Processes that share locks and are killed by SIGKILL at random moments, 1000 times in all: nothing that
//! was acknowledged is lost, nobody is left hanging, and every lock is of use at the end.
//!
//! Each scenario forks workers over common memory, kills one at a time and puts another in its place. A
//! hang is seen by an alarm that ends the process after 60 s.
#![allow(unsafe_code)]

#[path = "sync_kill/fleet.rs"]
mod fleet;
#[path = "sync_kill/ledger.rs"]
mod ledger;
#[path = "sync_kill/process.rs"]
mod process;

use fleet::{Fleet, Random};
use ledger::{Accounts, Ledger};
use neap_map::sync::{
    Attempt, Barrier, Common, Condition, Error, LockError, Mutex, MutexGuard, Once, Permits, Relocked,
    RwLock, Semaphore,
};
use process::{end_of, fork, kill};
use std::time::Duration;

const WORKERS: usize = 4;

fn recovered<'a>(outcome: Relocked<'a, Ledger>) -> MutexGuard<'a, Ledger> {
    match outcome {
        Ok(ledger) => ledger,
        Err(LockError::OwnerDied(mut ledger)) => {
            ledger.undo();
            ledger.recover()
        }
        Err(LockError::Failed(error)) => panic!("no lock: {error}"),
    }
}

#[test]
fn mutex_350_kills() {
    let ledger = Common::<Mutex<Ledger>>::new(Ledger::default()).unwrap();
    let accounts = Accounts::new();
    let mut fleet = Fleet::start(WORKERS, |worker, stop| {
        while !stop() {
            let entry = {
                let mut ledger = recovered(ledger.lock());
                ledger.add(worker);
                ledger.entries(worker)
            };
            accounts.acknowledge(worker, entry);
        }
    });
    for _ in 0..350 {
        let killed = fleet.kill_one_after(Duration::from_micros(1500));
        accounts.settle(killed, recovered(ledger.lock()).entries(killed));
        fleet.replace(killed);
    }
    fleet.stop();
    let ledger = recovered(ledger.lock());
    ledger.check();
    accounts.check(&ledger);
    eprintln!("{} of 350 kills left a change half done", ledger.undone());
    assert_ne!(ledger.undone(), 0);
}

#[test]
fn rwlock_200_kills() {
    type Lock = RwLock<Ledger, 6>;
    fn read(lock: &Lock) -> Ledger {
        loop {
            match lock.read() {
                Ok(ledger) => return *ledger,
                Err(LockError::OwnerDied(mut ledger)) => {
                    ledger.undo();
                    drop(ledger.recover());
                }
                Err(LockError::Failed(error)) => panic!("no lock: {error}"),
            }
        }
    }
    let lock = Common::<Lock>::new(Ledger::default()).unwrap();
    let accounts = Accounts::new();
    let mut fleet = Fleet::start(WORKERS, |worker, stop| {
        let mut turn = 0u32;
        while !stop() {
            turn += 1;
            if !turn.is_multiple_of(4) {
                read(&lock).check();
                continue;
            }
            let mut ledger = match lock.write() {
                Ok(ledger) => ledger,
                Err(LockError::OwnerDied(mut ledger)) => {
                    ledger.undo();
                    ledger.recover()
                }
                Err(LockError::Failed(error)) => panic!("no lock: {error}"),
            };
            ledger.add(worker);
            let entry = ledger.entries(worker);
            drop(ledger);
            accounts.acknowledge(worker, entry);
        }
    });
    for _ in 0..200 {
        let killed = fleet.kill_one_after(Duration::from_micros(1500));
        accounts.settle(killed, read(&lock).entries(killed));
        fleet.replace(killed);
    }
    fleet.stop();
    read(&lock).check();
    accounts.check(&read(&lock));
    // No place of a dead reader is lost: all six can be had, and a writer gets past them.
    {
        let all: Vec<_> = (0..6).map(|_| lock.try_read().unwrap()).collect();
        assert_eq!(
            lock.try_read().unwrap_err().failure(),
            Some(Error::TooManyReaders)
        );
        drop(all);
    }
    drop(lock.try_write().unwrap());
}

#[test]
fn condition_150_kills() {
    // A queue with room for two, of which only the length matters: even workers fill it, odd ones empty it.
    let queue = Common::<Mutex<Ledger>>::new(Ledger::default()).unwrap();
    let (filled, emptied) = (
        Common::<Condition>::new(()).unwrap(),
        Common::<Condition>::new(()).unwrap(),
    );
    let accounts = Accounts::new();
    let length = |ledger: &Ledger| {
        let of = |parity| {
            (0..WORKERS)
                .filter(|w| w % 2 == parity)
                .map(|w| ledger.entries(w))
                .sum::<u64>()
        };
        of(0) - of(1)
    };
    let mut fleet = Fleet::start(WORKERS, |worker, stop| {
        let (wait, tell) = if worker % 2 == 0 {
            (&emptied, &filled)
        } else {
            (&filled, &emptied)
        };
        let unready = |ledger: &Ledger| length(ledger) == if worker % 2 == 0 { 2 } else { 0 };
        while !stop() {
            let mut ledger = recovered(queue.lock());
            while unready(&ledger) {
                if stop() {
                    return;
                }
                ledger = recovered(wait.wait(ledger));
            }
            ledger.add(worker);
            let entry = ledger.entries(worker);
            drop(ledger);
            tell.notify_one();
            accounts.acknowledge(worker, entry);
        }
    });
    for _ in 0..150 {
        let killed = fleet.kill_one_after(Duration::from_micros(1500));
        accounts.settle(killed, recovered(queue.lock()).entries(killed));
        fleet.replace(killed);
    }
    fleet.stop();
    let ledger = recovered(queue.lock());
    ledger.check();
    assert!(length(&ledger) <= 2);
    accounts.check(&ledger);
}

#[test]
fn semaphore_100_kills() {
    // Two things; after each kill the others end, and what is there shows whether one went with the dead.
    // Nothing may appear, and at most the one that it held may be gone.
    const THINGS: u32 = 2;
    let things = Common::<Semaphore>::new(THINGS).unwrap();
    let mut fleet = Fleet::start(WORKERS, |_, stop| {
        while !stop() {
            match things.acquire_for(Duration::from_secs(50)) {
                Ok(()) => things.release().unwrap(),
                Err(error) => panic!("nothing for 50 s: {error}"),
            }
        }
    });
    let mut lost = 0;
    for _ in 0..100 {
        fleet.kill_one_after(Duration::from_micros(1500));
        // The others stop; with nothing left they may all be asleep, so one more is put in.
        things.release().unwrap();
        fleet.stop();
        let there = things.count();
        assert!(there == THINGS || there == THINGS + 1, "{there} of {THINGS} + 1");
        if there == THINGS {
            lost += 1;
        } else {
            things.try_acquire().unwrap();
        }
        fleet.restart();
    }
    fleet.stop();
    eprintln!("{lost} of 100 kills took a thing with them");
    assert_eq!(things.count(), THINGS);
}

#[test]
fn permits_50_kills() {
    let permits = Common::<Permits<2>>::new(()).unwrap();
    let accounts = Accounts::new();
    let mut fleet = Fleet::start(WORKERS, |worker, stop| {
        let mut turn = accounts.acknowledged(worker);
        while !stop() {
            let permit = permits.acquire().unwrap();
            turn += 1;
            accounts.acknowledge(worker, turn);
            drop(permit);
        }
    });
    for _ in 0..50 {
        let killed = fleet.kill_one_after(Duration::from_micros(1500));
        fleet.replace(killed);
    }
    fleet.stop();
    assert!((0..WORKERS).all(|worker| accounts.acknowledged(worker) > 0));
    assert_eq!(permits.free(), 2);
    let both = [permits.try_acquire().unwrap(), permits.try_acquire().unwrap()];
    assert_eq!(permits.try_acquire().unwrap_err(), Error::WouldBlock);
    drop(both);
}

#[test]
fn once_75_kills() {
    let mut random = Random::new();
    let mut again = 0;
    for _ in 0..75 {
        let once = Common::<Once>::new(()).unwrap();
        let table = Common::<Mutex<[u64; 64]>>::new([0; 64]).unwrap();
        let work = || {
            once.call(|attempt| {
                let mut table = match table.lock() {
                    Ok(table) => table,
                    Err(LockError::OwnerDied(table)) => table.recover(),
                    Err(LockError::Failed(error)) => panic!("no lock: {error}"),
                };
                if attempt == Attempt::AfterDeath {
                    table[63] += 1;
                }
                for i in 0..63 {
                    table[i] = i as u64 + 1;
                    std::thread::sleep(Duration::from_micros(5));
                }
            })
            .unwrap();
            let table = table.lock().unwrap();
            assert!((0..63).all(|i| table[i] == i as u64 + 1));
        };
        let workers = [fork(work), fork(work), fork(work)];
        std::thread::sleep(Duration::from_micros(random.below(6000)));
        kill(workers[random.below(3) as usize]);
        let ends = workers.map(end_of);
        assert!(
            ends.iter().all(|end| matches!(end, Ok(0) | Err(libc::SIGKILL))),
            "{ends:?}"
        );
        assert!(ends.iter().filter(|end| **end == Ok(0)).count() >= 2, "{ends:?}");
        assert!(once.is_done());
        again += table.lock().unwrap()[63];
    }
    eprintln!("{again} of 75 had to be done again");
    assert!(again > 0, "no kill ever met an attempt");
}

#[test]
fn barrier_75_kills() {
    let mut random = Random::new();
    let barrier = Common::<Barrier<3>>::new(()).unwrap();
    let rounds = Common::<Mutex<[u64; 3]>>::new([0; 3]).unwrap();
    let seated = Common::<Semaphore>::new(0).unwrap();
    for _ in 0..75 {
        let work = |me: usize| {
            let barrier = &barrier;
            let (rounds, seated) = (&rounds, &seated);
            move || {
                let seat = barrier.join().unwrap();
                seated.release().unwrap();
                loop {
                    match seat.wait() {
                        Ok(_) => {
                            let mut rounds = match rounds.lock() {
                                Ok(rounds) => rounds,
                                Err(LockError::OwnerDied(rounds)) => rounds.recover(),
                                Err(LockError::Failed(error)) => panic!("no lock: {error}"),
                            };
                            rounds[me] += 1;
                        }
                        Err(Error::Broken) => return,
                        Err(error) => panic!("no barrier: {error}"),
                    }
                }
            }
        };
        let workers = [fork(work(0)), fork(work(1)), fork(work(2))];
        // A worker that is killed before it has taken its seat is not known to the others.
        (0..3).for_each(|_| seated.acquire_for(Duration::from_secs(50)).unwrap());
        std::thread::sleep(Duration::from_micros(random.below(3000)));
        let killed = random.below(3) as usize;
        kill(workers[killed]);
        let ends = workers.map(end_of);
        for (i, end) in ends.into_iter().enumerate() {
            assert_eq!(end, if i == killed { Err(libc::SIGKILL) } else { Ok(0) });
        }
        assert!(barrier.is_broken());
        barrier.recover().unwrap();
        // The survivors left together: nobody was a whole round ahead of another when it broke.
        let mut rounds = match rounds.lock() {
            Ok(rounds) => rounds,
            Err(LockError::OwnerDied(rounds)) => rounds.recover(),
            Err(LockError::Failed(error)) => panic!("no lock: {error}"),
        };
        let (least, most) = (rounds.iter().min().unwrap(), rounds.iter().max().unwrap());
        assert!(most - least <= 1, "{rounds:?}");
        *rounds = [0; 3];
    }
    let all: Vec<_> = (0..3).map(|_| barrier.join().unwrap()).collect();
    assert_eq!(all[0].wait_for(Duration::ZERO), Err(Error::TimedOut));
}
