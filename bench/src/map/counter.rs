//! A counter that two processes share, each adding one under a lock.
#![allow(unsafe_code)]

use super::input::Input;
use crate::contest::{Contender, Contest, Target, Unit};
use neap_map::Anon;
use neap_map::sync::{Common, Mutex};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const PROCESSES: u64 = 2;

/// Nanoseconds for each addition, when `PROCESSES` children make `count` of them together.
fn contend(count: u64, add: &dyn Fn()) -> Result<f64, String> {
    let start = Instant::now();
    let mut children = Vec::new();
    for _ in 0..PROCESSES {
        // SAFETY: this process has one thread; the child makes no allocation and ends here.
        match unsafe { libc::fork() } {
            -1 => return Err(std::io::Error::last_os_error().to_string()),
            0 => {
                for _ in 0..count / PROCESSES {
                    add();
                }
                // SAFETY: ends this process, without the destructors of the parent's values.
                unsafe { libc::_exit(0) }
            }
            pid => children.push(pid),
        }
    }
    for pid in children {
        let mut status = 0;
        // SAFETY: `status` is a live integer.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        if waited != pid || status != 0 {
            return Err(format!("a child ended with status {status:#x}"));
        }
    }
    Ok(start.elapsed().as_secs_f64() * 1e9 / count as f64)
}

pub(crate) fn contests(input: &Input) -> Result<Vec<Contest>, String> {
    let count = input.scaled(4_000_000) / PROCESSES * PROCESSES;
    let target = vec![Target {
        who: "neap, Mutex",
        rival: "pthread, robust",
        ratio: 1.0,
    }];
    let contended = Contest {
        name: "counter-2-processes",
        what: format!("{count} additions to a number in shared memory, by {PROCESSES} processes."),
        unit: Unit::Nanoseconds,
        contenders: vec![
            Contender::new("neap, Mutex", move || with_mutex(count, contend)),
            Contender::new("pthread, robust", move || {
                with_pthread(count, Robust::Yes, contend)
            }),
            Contender::new("pthread, not robust", move || {
                with_pthread(count, Robust::No, contend)
            }),
            Contender::new("atomic addition", move || with_atomic(count, contend)),
        ],
        targets: target.clone(),
    };
    let alone = Contest {
        name: "counter-1-process",
        what: format!("{count} additions by one process, nobody else there."),
        unit: Unit::Nanoseconds,
        contenders: vec![
            Contender::new("neap, Mutex", move || with_mutex(count, by_oneself)),
            Contender::new("pthread, robust", move || {
                with_pthread(count, Robust::Yes, by_oneself)
            }),
            Contender::new("pthread, not robust", move || {
                with_pthread(count, Robust::No, by_oneself)
            }),
            Contender::new("std, Mutex (threads only)", move || {
                let counter = std::sync::Mutex::new(0_u64);
                by_oneself(count, &|| {
                    let counter = std::hint::black_box(&counter);
                    *counter.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += 1;
                })
            }),
        ],
        targets: target,
    };
    Ok(vec![contended, alone])
}

/// Who adds: two children, or this process.
type Pace = fn(u64, &dyn Fn()) -> Result<f64, String>;

fn by_oneself(count: u64, add: &dyn Fn()) -> Result<f64, String> {
    let start = Instant::now();
    for _ in 0..count {
        add();
    }
    Ok(start.elapsed().as_secs_f64() * 1e9 / count as f64)
}

fn with_mutex(count: u64, pace: Pace) -> Result<f64, String> {
    let counter = Common::<Mutex<u64>>::new(0).map_err(|e| e.to_string())?;
    let figure = pace(count, &|| match counter.lock() {
        Ok(mut number) => *number += 1,
        Err(error) => panic!("nobody dies here: {error}"),
    })?;
    let total = *counter.lock().map_err(|e| e.to_string())?;
    verified(figure, total, count)
}

fn verified(figure: f64, total: u64, count: u64) -> Result<f64, String> {
    if total == count {
        Ok(figure)
    } else {
        Err(format!("{total} of {count} additions were not lost"))
    }
}

/// Whether a pthread mutex tells of its owner's death.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Robust {
    Yes,
    No,
}

/// A lock and what it protects, in shared memory.
#[repr(C)]
struct Locked {
    mutex: libc::pthread_mutex_t,
    number: u64,
}

fn with_pthread(count: u64, robust: Robust, pace: Pace) -> Result<f64, String> {
    let mut map = Anon::shared(size_of::<Locked>())
        .map()
        .map_err(|e| e.to_string())?;
    let locked = map.as_mut_ptr().cast::<Locked>();
    // SAFETY: the memory is zeroed, aligned to a page, large enough, and nobody else's.
    unsafe {
        let mut attributes: libc::pthread_mutexattr_t = std::mem::zeroed();
        libc::pthread_mutexattr_init(&raw mut attributes);
        libc::pthread_mutexattr_setpshared(&raw mut attributes, libc::PTHREAD_PROCESS_SHARED);
        if robust == Robust::Yes {
            libc::pthread_mutexattr_setrobust(&raw mut attributes, libc::PTHREAD_MUTEX_ROBUST);
        }
        if libc::pthread_mutex_init(&raw mut (*locked).mutex, &raw const attributes) != 0 {
            return Err("pthread_mutex_init".to_owned());
        }
    }
    let figure = pace(count, &|| {
        // SAFETY: initialised above; the number is touched only while the mutex is held.
        unsafe {
            assert_eq!(libc::pthread_mutex_lock(&raw mut (*locked).mutex), 0);
            (*locked).number += 1;
            libc::pthread_mutex_unlock(&raw mut (*locked).mutex);
        }
    })?;
    // SAFETY: the children have ended.
    verified(figure, unsafe { (*locked).number }, count)
}

fn with_atomic(count: u64, pace: Pace) -> Result<f64, String> {
    let mut map = Anon::shared(8).map().map_err(|e| e.to_string())?;
    // SAFETY: zeroed, aligned, mapped until the end of this function, and only accessed atomically.
    let number = unsafe { AtomicU64::from_ptr(map.as_mut_ptr().cast()) };
    let figure = pace(count, &|| _ = number.fetch_add(1, Ordering::Relaxed))?;
    verified(figure, number.load(Ordering::Relaxed), count)
}
