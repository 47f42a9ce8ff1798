//! [`Fleet`]: forked workers that are killed and replaced.

use neap_map::sync::{Common, Semaphore};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A small generator of numbers that nobody needs to guess.
pub struct Random(u64);

impl Random {
    pub fn new() -> Random {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let seed = neap_os::clock::monotonic_ns() ^ COUNT.fetch_add(1, Relaxed) << 48;
        eprintln!("seed {seed:#x}");
        Random(seed | 1)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Runs `body` in a child, which ends with 0, or with 101 if it panics. It dies with its parent.
pub fn fork(body: impl FnOnce()) -> libc::pid_t {
    // SAFETY: alarm takes a number. The default action of SIGALRM ends this process: the test hangs no longer.
    unsafe { libc::alarm(60) };
    // SAFETY: glibc's fork leaves malloc usable in the child, which runs `body` alone and never returns.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: sets what this process gets when its parent ends.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let outcome = catch_unwind(AssertUnwindSafe(body));
        // SAFETY: no conditions.
        unsafe { libc::_exit(if outcome.is_ok() { 0 } else { 101 }) };
    }
    pid
}

pub fn kill(pid: libc::pid_t) {
    // SAFETY: a signal to a child that was not waited for yet.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
}

/// Waits for a child: its exit status, or the signal that ended it.
pub fn end_of(pid: libc::pid_t) -> Result<i32, i32> {
    let mut status = 0;
    // SAFETY: `status` is a live int.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    if libc::WIFSIGNALED(status) {
        return Err(libc::WTERMSIG(status));
    }
    Ok(libc::WEXITSTATUS(status))
}

pub struct Fleet<F> {
    work: F,
    /// Not 0 when the workers shall come to an end.
    stop: Common<Semaphore>,
    workers: Vec<Option<libc::pid_t>>,
    random: Random,
}

impl<F: Fn(usize, &dyn Fn() -> bool)> Fleet<F> {
    /// Forks `count` workers that run `work` until it returns, which it should when its second argument says so.
    pub fn start(count: usize, work: F) -> Fleet<F> {
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
    pub fn restart(&mut self) {
        while self.stop.try_acquire().is_ok() {}
        for i in 0..self.workers.len() {
            if self.workers[i].is_none() {
                self.replace(i);
            }
        }
    }

    /// Kills a random worker at a random moment before `limit` has passed.
    pub fn kill_one_after(&mut self, limit: Duration) -> usize {
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

    pub fn replace(&mut self, worker: usize) {
        let (work, stop) = (&self.work, &self.stop);
        self.workers[worker] = Some(fork(|| work(worker, &|| stop.count() != 0)));
    }

    /// Tells the workers to end, and waits until they have.
    pub fn stop(&mut self) {
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
