//! What the structures cost beside the calls that they replace: a ring beside a pipe, a window beside
//! pread(2), an append beside write(2). Prints the best of five runs each.
//!
//! `cargo run --release -p neap-map --example structures`

use neap_map::{Growable, Growth, Ring, Room, SharedRing, Storage, Window};
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const RUNS: usize = 5;

fn best(mut run: impl FnMut() -> io::Result<Duration>) -> io::Result<Duration> {
    let mut times = (0..RUNS).map(|_| run()).collect::<io::Result<Vec<_>>>()?;
    times.sort_unstable();
    Ok(times[0])
}

fn mib_per_second(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / (1 << 20) as f64 / time.as_secs_f64()
}

fn nanoseconds(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}

/// Reads messages to the end.
fn drain(mut from: impl Read, size: usize) -> io::Result<()> {
    let mut message = vec![0; size];
    loop {
        match from.read_exact(&mut message) {
            Ok(()) => _ = black_box(&message),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn send(mut to: impl Write, size: usize, count: usize) -> io::Result<Duration> {
    let message = vec![1; size];
    let start = Instant::now();
    for _ in 0..count {
        to.write_all(&message)?;
    }
    Ok(start.elapsed())
}

fn reader(arguments: [String; 3]) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments);
    Ok(command)
}

/// A pipe's and a shared ring's speed to another process.
fn between_processes(size: usize, count: usize) -> Outcome {
    let pipe = best(|| {
        let arguments = ["pipe".into(), size.to_string(), String::new()];
        let mut child = reader(arguments)?.stdin(Stdio::piped()).spawn()?;
        let time = send(child.stdin.take().expect("piped"), size, count);
        child.wait()?;
        time
    })?;
    let ring = best(|| {
        let ring = SharedRing::create(256 << 10)?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), ring.as_fd().as_raw_fd());
        let mut child = reader(["ring".into(), size.to_string(), path])?.spawn()?;
        let time = send(ring.producer()?, size, count);
        child.wait()?;
        time
    })?;
    let bytes = size * count;
    let (pipe, ring) = (mib_per_second(bytes, pipe), mib_per_second(bytes, ring));
    println!(
        "two processes, {size:6} B: pipe {pipe:6.0} MiB/s, SharedRing {ring:6.0}, x{:.1}",
        ring / pipe
    );
    Ok(())
}

/// Between two threads: copied in and out, and filled and looked at in place.
fn between_threads(size: usize, count: usize) -> Outcome {
    let copied = best(|| {
        let (producer, consumer) = Ring::new(256 << 10)?.split();
        std::thread::scope(|s| {
            s.spawn(move || drain(consumer, size));
            send(producer, size, count)
        })
    })?;
    let in_place = best(|| {
        let (mut producer, mut consumer) = Ring::new(256 << 10)?.split();
        std::thread::scope(move |s| {
            s.spawn(move || {
                while let Ok(bytes) = consumer.wait_readable(size) {
                    let len = bytes.len() / size * size;
                    if len == 0 {
                        break;
                    }
                    black_box(&bytes[..len]);
                    consumer.consume(len);
                }
            });
            let start = Instant::now();
            for _ in 0..count {
                producer.wait_writable(size)?[..size].fill(1);
                producer.commit(size);
            }
            // The reader ends when its peer has gone.
            drop(producer);
            Ok(start.elapsed())
        })
    })?;
    let bytes = size * count;
    let (copied, in_place) = (mib_per_second(bytes, copied), mib_per_second(bytes, in_place));
    println!("two threads,   {size:6} B: Ring copying {copied:6.0} MiB/s, in place {in_place:6.0}");
    Ok(())
}

/// Random reads of a cached file, nine of ten within 1 MiB of the last, in a span of 256 MiB.
fn window(size: usize) -> Outcome {
    const LEN: u64 = 256 << 20;
    const COUNT: usize = 200_000;
    let file = tempfile::tempfile()?;
    let block = vec![7; 1 << 20];
    (0..LEN >> 20).try_for_each(|number| file.write_all_at(&block, number << 20))?;
    let mut bytes = vec![0; size];
    let mut run = |read: &dyn Fn(u64, &mut [u8]) -> io::Result<()>| {
        best(|| {
            let (mut random, mut at) = (1_u64, 0);
            let start = Instant::now();
            for _ in 0..COUNT {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let reach = if random.is_multiple_of(1000) { LEN } else { 1 << 20 };
                let base = if reach == LEN { 0 } else { at & !((1 << 20) - 1) };
                at = base + (random >> 20) % (reach - size as u64);
                read(at, &mut bytes)?;
            }
            Ok(start.elapsed())
        })
    };
    let pread = run(&|at, to| file.read_exact_at(to, at))?;
    let four = NonZeroUsize::new(4).expect("not 0");
    let window = Window::new(&file, 16 << 20, four)?;
    let seen = run(&|at, to| window.read_at(at, to).map_err(Into::into))?;
    let (pread, seen) = (nanoseconds(pread, COUNT), nanoseconds(seen, COUNT));
    let statistics = window.statistics();
    println!(
        "reads of {size:5} B: pread {pread:5.0} ns, Window {seen:5.0} ns, x{:.1} {statistics:?}",
        pread / seen
    );
    Ok(())
}

fn append(size: usize) -> Outcome {
    const COUNT: usize = 200_000;
    let message = vec![1; size];
    let write = best(|| {
        let mut file = tempfile::tempfile()?;
        let start = Instant::now();
        (0..COUNT).try_for_each(|_| file.write_all(&message))?;
        Ok(start.elapsed())
    })?;
    let run = |room| {
        best(|| {
            let file = tempfile::tempfile()?;
            let growth = Growth {
                storage: Storage::Allocated,
                room,
            };
            let growable = Growable::open_with(&file, 4 << 30, growth)?;
            let start = Instant::now();
            for _ in 0..COUNT {
                growable.append(&message)?;
            }
            Ok(start.elapsed())
        })
    };
    let times = [write, run(Room::Ahead)?, run(Room::Exact)?].map(|time| nanoseconds(time, COUNT));
    let [write, ahead, exact] = times;
    println!(
        "appends of {size:4} B: write {write:5.0} ns, Growable ahead {ahead:5.0} ns, exact {exact:5.0} ns"
    );
    Ok(())
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [kind, size, path] = &arguments[..] {
        let size = size.parse()?;
        match kind.as_str() {
            "pipe" => drain(io::stdin().lock(), size)?,
            _ => {
                let file = File::options().read(true).write(true).open(path)?;
                drain(SharedRing::open(&file)?.consumer()?, size)?;
            }
        }
        return Ok(());
    }
    for (size, count) in [(64, 1_000_000), (1 << 10, 300_000), (64 << 10, 10_000)] {
        between_processes(size, count)?;
        between_threads(size, count)?;
    }
    [64, 4096].into_iter().try_for_each(window)?;
    [64, 4096].into_iter().try_for_each(append)
}
