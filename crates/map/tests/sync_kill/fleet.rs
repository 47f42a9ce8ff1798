//! [`Fleet`]: forked workers that are killed and replaced.

use crate::process::{end_of, fork, kill};
use neap_map::sync::{Common, Semaphore};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A small generator of numbers that nobody needs to guess.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Random {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let seed = neap_os::clock::monotonic_ns() ^ COUNT.fetch_add(1, Relaxed) << 48;
        eprintln!("seed {seed:#x}");
        Random(seed | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

pub(crate) struct Fleet<F> {
    work: F,
    /// Not 0 when the workers shall come to an end.
    stop: Common<Semaphore>,
    workers: Vec<Option<libc::pid_t>>,
    random: Random,
}

impl<F: Fn(usize, &dyn Fn() -> bool)> Fleet<F> {
    /// Forks `count` workers that run `work` until it returns, which it should when its second argument
    /// says so.
    pub(crate) fn start(count: usize, work: F) -> Fleet<F> {
        let stop = Common::new(0).unwrap();
        let mut fleet = Fleet {
            work,
            stop,
            workers: vec![None; count],
            random: Random::new(),
        };
        fleet.restart();
        fleet
    }

    /// Forks the workers that do not run.
    pub(crate) fn restart(&mut self) {
        while self.stop.try_acquire().is_ok() {}
        for i in 0..self.workers.len() {
            if self.workers[i].is_none() {
                self.replace(i);
            }
        }
    }

    /// Kills a random worker at a random moment before `limit` has passed.
    pub(crate) fn kill_one_after(&mut self, limit: Duration) -> usize {
        std::thread::sleep(Duration::from_nanos(self.random.below(limit.as_nanos() as u64)));
        let worker = self.random.below(self.workers.len() as u64) as usize;
        let pid = self.workers[worker].take().expect("it runs");
        kill(pid);
        assert_eq!(
            end_of(pid),
            Err(libc::SIGKILL),
            "worker {worker} ended before it was killed"
        );
        worker
    }

    pub(crate) fn replace(&mut self, worker: usize) {
        let (work, stop) = (&self.work, &self.stop);
        self.workers[worker] = Some(fork(|| work(worker, &|| stop.count() != 0)));
    }

    /// Tells the workers to end, and waits until they have.
    pub(crate) fn stop(&mut self) {
        self.stop.release().unwrap();
        for worker in &mut self.workers {
            if let Some(pid) = worker.take() {
                assert_eq!(end_of(pid), Ok(0));
            }
        }
    }
}

impl<F> Drop for Fleet<F> {
    fn drop(&mut self) {
        for pid in self.workers.iter().flatten() {
            kill(*pid);
        }
    }
}
