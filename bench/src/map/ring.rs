//! Messages from one to another: a ring beside a ring that copies and a pipe, between threads and processes.
#![allow(unsafe_code)]

use super::input::Input;
use crate::contest::{Contender, Contest, Target, Unit};
use neap_map::{Ring, SharedRing};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// Room of the rings; a pipe has as much when it is asked for it.
const ROOM: usize = 1 << 20;

const SIZES: [(&str, &str, usize); 3] = [
    ("ring-threads-64", "ring-processes-64", 64),
    ("ring-threads-1k", "ring-processes-1k", 1 << 10),
    ("ring-threads-64k", "ring-processes-64k", 64 << 10),
];

pub(crate) fn contests(input: &Input) -> Vec<Contest> {
    let mut contests = Vec::new();
    for (threads, processes, size) in SIZES {
        // As many bytes of each size would make the small messages take minutes.
        let full = if size < 1024 { 256 << 20 } else { 2 << 30 };
        let count = usize::try_from(input.scaled(full)).unwrap_or(size) / size;
        let what = |who: &str| format!("{count} messages of {size} bytes from one {who} to another.");
        contests.push(Contest {
            name: threads,
            what: what("thread"),
            unit: Unit::GibPerSecond,
            contenders: vec![
                Contender::new("neap, Ring", move || {
                    timed(size, count, || neap_threads(size, count))
                }),
                Contender::new("copying ring", move || {
                    timed(size, count, || copying_threads(size, count))
                }),
                Contender::new("pipe", move || timed(size, count, || pipe_threads(size, count))),
            ],
            targets: vec![
                Target {
                    who: "neap, Ring",
                    rival: "copying ring",
                    ratio: 1.0,
                },
                Target {
                    who: "neap, Ring",
                    rival: "pipe",
                    ratio: 2.0,
                },
            ],
        });
        contests.push(Contest {
            name: processes,
            what: what("process"),
            unit: Unit::GibPerSecond,
            contenders: vec![
                Contender::new("neap, SharedRing", move || {
                    timed(size, count, || neap_processes(size, count))
                }),
                Contender::new("pipe", move || timed(size, count, || pipe_processes(size, count))),
            ],
            targets: vec![Target {
                who: "neap, SharedRing",
                rival: "pipe",
                ratio: 2.0,
            }],
        });
    }
    contests
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// GiB/s of a transfer, which says how many messages arrived.
fn timed(size: usize, count: usize, transfer: impl FnOnce() -> Result<usize, String>) -> Result<f64, String> {
    let start = Instant::now();
    let arrived = transfer()?;
    let seconds = start.elapsed().as_secs_f64();
    if arrived != count {
        return Err(format!("{arrived} of {count} messages arrived"));
    }
    Ok((size * count) as f64 / f64::from(1 << 30) / seconds)
}

/// A reader looks at the message's first and last byte.
fn look(message: &[u8]) -> usize {
    usize::from(message.first() == Some(&1) && message.last() == Some(&1))
}

fn neap_threads(size: usize, count: usize) -> Result<usize, String> {
    let (mut producer, mut consumer) = Ring::new(ROOM).map_err(said)?.split();
    let message = vec![1; size];
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..count {
                let Ok(room) = producer.wait_writable(size) else {
                    return;
                };
                room[..size].copy_from_slice(&message);
                producer.commit(size);
            }
        });
        let mut arrived = 0;
        while let Ok(ready) = consumer.wait_readable(size) {
            if ready.len() < size {
                break;
            }
            let whole = ready.len() / size;
            arrived += ready.chunks_exact(size).map(look).sum::<usize>();
            consumer.consume(whole * size);
        }
        Ok(arrived)
    })
}

/// What one writes without a double mapping: a message that crosses the end is copied in two parts, on
/// either side.
struct CopyingRing {
    bytes: Box<[std::cell::UnsafeCell<u8>]>,
    head: AtomicUsize,
    tail: AtomicUsize,
}

// SAFETY: one thread puts and one takes, and the counts keep their bytes apart.
unsafe impl Sync for CopyingRing {}

impl CopyingRing {
    fn new() -> CopyingRing {
        let bytes = (0..ROOM).map(|_| std::cell::UnsafeCell::new(0)).collect();
        CopyingRing {
            bytes,
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
        }
    }

    fn wait(mut is_ready: impl FnMut() -> bool) {
        let mut turns = 0_u32;
        while !is_ready() {
            turns += 1;
            if turns < 64 {
                std::hint::spin_loop()
            } else {
                thread::yield_now()
            }
        }
    }

    fn put(&self, message: &[u8]) {
        let tail = self.tail.load(Ordering::Relaxed);
        Self::wait(|| tail + message.len() - self.head.load(Ordering::Acquire) <= ROOM);
        let (first, second) = message.split_at(message.len().min(ROOM - tail % ROOM));
        for (part, at) in [(first, tail % ROOM), (second, 0)] {
            // SAFETY: these bytes are free, by the counts, until `tail` moves.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    part.as_ptr(),
                    self.bytes.as_ptr().add(at).cast_mut().cast(),
                    part.len(),
                )
            };
        }
        self.tail.store(tail + message.len(), Ordering::Release);
    }

    fn take(&self, message: &mut [u8]) {
        let head = self.head.load(Ordering::Relaxed);
        Self::wait(|| self.tail.load(Ordering::Acquire) - head >= message.len());
        let len = message.len();
        let (first, second) = message.split_at_mut(len.min(ROOM - head % ROOM));
        for (part, at) in [(first, head % ROOM), (second, 0)] {
            // SAFETY: these bytes are written, by the counts, and stay until `head` moves.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    self.bytes.as_ptr().add(at).cast(),
                    part.as_mut_ptr(),
                    part.len(),
                )
            };
        }
        self.head.store(head + len, Ordering::Release);
    }
}

fn copying_threads(size: usize, count: usize) -> Result<usize, String> {
    let ring = CopyingRing::new();
    let message = vec![1; size];
    thread::scope(|scope| {
        scope.spawn(|| (0..count).for_each(|_| ring.put(&message)));
        let mut taken = vec![0; size];
        let mut arrived = 0;
        for _ in 0..count {
            ring.take(&mut taken);
            arrived += look(&taken);
        }
        Ok(arrived)
    })
}

/// Reads messages to the end and counts them.
fn drain(mut from: impl Read, size: usize) -> usize {
    let mut message = vec![0; size];
    let mut arrived = 0;
    while from.read_exact(&mut message).is_ok() {
        arrived += look(&message);
    }
    arrived
}

fn send(mut to: impl Write, size: usize, count: usize) -> Result<(), String> {
    let message = vec![1; size];
    (0..count).try_for_each(|_| to.write_all(&message)).map_err(said)
}

fn pipe() -> Result<(std::io::PipeReader, std::io::PipeWriter), String> {
    let (reader, writer) = std::io::pipe().map_err(said)?;
    rustix::pipe::fcntl_setpipe_size(&writer, ROOM).map_err(said)?;
    Ok((reader, writer))
}

fn pipe_threads(size: usize, count: usize) -> Result<usize, String> {
    let (reader, writer) = pipe()?;
    thread::scope(|scope| {
        let sent = scope.spawn(move || send(writer, size, count));
        let arrived = drain(reader, size);
        sent.join().map_err(|_| "the sender panicked".to_owned())??;
        Ok(arrived)
    })
}

/// Runs `sends` in a child and `takes` here. `ends` has what the sender alone may keep open.
fn with_child<E>(
    ends: E,
    sends: impl FnOnce(E) -> Result<(), String>,
    takes: impl FnOnce() -> usize,
) -> Result<usize, String> {
    // SAFETY: this process has one thread.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => return Err(said(std::io::Error::last_os_error())),
        0 => {
            let status = i32::from(sends(ends).is_err());
            // SAFETY: ends this process, without the destructors of the parent's values.
            unsafe { libc::_exit(status) }
        }
        _ => drop(ends),
    }
    let arrived = takes();
    let mut status = 0;
    // SAFETY: `status` is a live integer.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    if status == 0 {
        Ok(arrived)
    } else {
        Err(format!("the sender ended with status {status:#x}"))
    }
}

fn pipe_processes(size: usize, count: usize) -> Result<usize, String> {
    let (reader, writer) = pipe()?;
    with_child(writer, |writer| send(writer, size, count), || drain(reader, size))
}

fn neap_processes(size: usize, count: usize) -> Result<usize, String> {
    let ring = SharedRing::create(ROOM).map_err(said)?;
    with_child(
        (),
        |()| send(ring.producer().map_err(said)?, size, count),
        || ring.consumer().map_or(0, |consumer| drain(consumer, size)),
    )
}
