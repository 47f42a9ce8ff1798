#![allow(unsafe_code)]

use super::Leased;
use crate::child::{Child, address_space, in_child, limit};
use crate::error::{Error, Feature, Kind};
use crate::file::FileMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn pattern(len: u32, seed: u32) -> Vec<u8> {
    (0..len)
        .map(|i| (i.wrapping_mul(31).wrapping_add(seed) % 251) as u8)
        .collect()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn file(folder: &Path, name: &str, contents: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, contents).unwrap();
    path
}

/// Takes the lease as soon as it can be had: a child that another test forks has for a moment every file open
/// for writing that this process has.
fn lease<'f>(request: FileMap<'f>) -> Result<Leased, Error> {
    let start = Instant::now();
    loop {
        match request.leased() {
            Err(error) if error.kind() == Kind::Busy && start.elapsed() < Duration::from_secs(20) => {
                thread::sleep(Duration::from_millis(1));
            }
            answer => return answer,
        }
    }
}

fn attack(script: &str, path: &Path) {
    let status = Command::new("sh")
        .args(["-c", script])
        .arg(path)
        .status()
        .unwrap();
    assert!(status.success(), "{script}");
}

#[test]
fn readers_see_the_same_bytes_while_another_process_takes_the_file() {
    const LEN: u32 = 4 << 20;
    for script in [
        "printf x 1<>$0",
        ": >$0",
        "dd if=/dev/null of=$0 bs=1 seek=100000000 count=0 status=none",
        "dd if=/dev/zero of=$0 bs=1M count=4 conv=notrunc status=none",
        "printf x >>$0",
    ] {
        let folder = folder();
        let contents = pattern(LEN, 1);
        let path = file(folder.path(), "file", &contents);
        let map = lease(FileMap::of(&File::open(&path).unwrap())).unwrap();
        let address = map.as_ptr();
        let (stop, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        assert!(map[..] == contents[..], "a reader saw other bytes");
                        rounds.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            while rounds.load(Ordering::Relaxed) < 3 {
                thread::yield_now();
            }
            assert!(!map.is_broken());
            let status = Command::new("sh").args(["-c", script]).arg(&path).status();
            // Whoever wanted to write has written: so the map is a copy by now.
            let is_broken = map.is_broken();
            let seen = rounds.load(Ordering::Relaxed);
            while rounds.load(Ordering::Relaxed) < seen + 6 {
                thread::yield_now();
            }
            stop.store(true, Ordering::Relaxed);
            assert!(status.unwrap().success() && is_broken, "{script}");
        });
        assert!(fs::read(&path).unwrap() != contents, "{script}");
        assert!(map[..] == contents[..] && map.as_ptr() == address);
    }
}

#[test]
fn it_is_refused_while_somebody_can_write() {
    let folder = folder();
    let path = file(folder.path(), "file", b"contents");
    let reading = File::open(&path).unwrap();
    let kind = || {
        FileMap::of(&reading)
            .leased()
            .map(drop)
            .map_err(|error| error.kind())
    };
    let writing = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    assert_eq!(kind(), Err(Kind::Busy));
    let map = FileMap::of(&writing).writable().map().unwrap();
    drop(writing);
    assert_eq!(kind(), Err(Kind::Busy));
    drop(map);
    drop(lease(FileMap::of(&reading)).unwrap());
    // And a lease that was given up keeps nobody waiting.
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .write_all(b"more")
        .unwrap();
}

/// A child that another test forks in this moment has the descriptor with which the file was written, until
/// it ends.
fn leased_when_free(path: &Path) -> Leased {
    let file = File::open(path).unwrap();
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        match FileMap::of(&file).range(5..).leased() {
            Err(error) if error.kind() == Kind::Busy && Instant::now() < limit => {
                thread::sleep(Duration::from_millis(1));
            }
            leased => return leased.unwrap(),
        }
    }
}

#[test]
fn many_files_are_taken_at_once_by_this_process() {
    let folder = folder();
    let maps: Vec<_> = (0..100)
        .map(|i| {
            let path = file(folder.path(), &i.to_string(), &pattern(10_000 + i, i));
            (i, path.clone(), leased_when_free(&path))
        })
        .collect();
    thread::scope(|scope| {
        for part in maps.chunks(25) {
            scope.spawn(move || {
                for (_, path, _) in part {
                    fs::write(path, "other").unwrap();
                }
            });
        }
    });
    for (i, path, map) in &maps {
        assert!(map.is_broken());
        assert_eq!(map[..], pattern(10_000 + i, *i)[5..]);
        assert_eq!(fs::read(path).unwrap(), b"other");
    }
}

#[test]
fn it_may_be_dropped_while_it_is_being_broken() {
    let folder = folder();
    let path = file(folder.path(), "file", &pattern(4 << 20, 3));
    for _ in 0..30 {
        fs::write(&path, pattern(4 << 20, 3)).unwrap();
        let map = lease(FileMap::of(&File::open(&path).unwrap())).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| fs::write(&path, "other").unwrap());
            scope.spawn(move || drop(map));
        });
        assert_eq!(fs::read(&path).unwrap(), b"other");
    }
}

#[test]
fn frozen_by_hand_it_needs_no_lease() {
    let folder = folder();
    let path = file(folder.path(), "file", b"before");
    let map = lease(FileMap::of(&File::open(&path).unwrap())).unwrap();
    let frozen = map.freeze().unwrap();
    fs::write(&path, "after!").unwrap();
    assert_eq!(&frozen[..], b"before");
    let empty = file(folder.path(), "empty", b"");
    let map = lease(FileMap::of(&File::open(&empty).unwrap())).unwrap();
    fs::write(&empty, "after").unwrap();
    assert!(map.is_empty() && map.is_broken());
}

#[test]
fn the_range_ends_within_the_file() {
    let folder = folder();
    let path = file(folder.path(), "file", b"before");
    let file = File::open(&path).unwrap();
    assert_eq!(
        lease(FileMap::of(&file).range(..7)).unwrap_err().kind(),
        Kind::FileTooShort
    );
    assert_eq!(&lease(FileMap::of(&file).range(2..6)).unwrap()[..], b"fore");
    // The failed attempt holds no lease.
    OpenOptions::new().write(true).open(&path).unwrap();
}

#[test]
fn where_there_are_no_leases_it_says_so() {
    let unsupported = Kind::Unsupported(Feature::Lease);
    for path in ["/proc/self/exe", "/proc/self/stat", "/dev/zero"] {
        if let Err(error) = FileMap::of(&File::open(path).unwrap()).leased() {
            assert!(
                [unsupported, Kind::Busy, Kind::NotPermitted].contains(&error.kind()),
                "{path}: {error}"
            );
        }
    }
    assert_eq!(
        FileMap::of(&File::open("/dev/zero").unwrap())
            .leased()
            .unwrap_err()
            .kind(),
        unsupported
    );
    assert_eq!(
        FileMap::of(&File::open("/proc/self/stat").unwrap())
            .leased()
            .unwrap_err()
            .kind(),
        unsupported
    );
}

#[test]
fn a_child_has_neither_the_map_nor_the_lease() {
    let folder = folder();
    let path = file(folder.path(), "file", &pattern(100_000, 5));
    let map = lease(FileMap::of(&File::open(&path).unwrap())).unwrap();
    let mut pipe = [0; 2];
    // SAFETY: room for two descriptors.
    assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    // SAFETY: the child makes system calls only, waits for the pipe's end, drops the map, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let is_here = map.birth.is_here();
        let mut byte = 0u8;
        // SAFETY: the child's own descriptors; one byte of room.
        unsafe {
            libc::close(pipe[1]);
            libc::read(pipe[0], (&raw mut byte).cast(), 1);
        }
        // Something else lies there by now; the drop must leave it alone.
        let mine = crate::Anon::private(map.len).at(map.start & !4095).map();
        let address = map.start;
        drop(map);
        let stays = mine.is_ok_and(|mut mine| {
            mine[0] = 9;
            mine[0] == 9 && mine.as_ptr().addr() == address
        });
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(is_here) + 2 * i32::from(!stays)) };
    }
    // The child has the lease's description open, and still the writer gets in.
    attack("printf x 1<>$0", &path);
    assert!(map.is_broken());
    assert_eq!(map[..], pattern(100_000, 5));
    let mut status = -1;
    // SAFETY: the parent's own descriptors, and a live variable.
    unsafe {
        libc::close(pipe[1]);
        libc::waitpid(child, &raw mut status, 0);
        libc::close(pipe[0]);
    }
    assert_eq!(status, 0);
}

#[test]
fn the_programs_own_signals_are_left_alone() {
    let folder = folder();
    let path = file(folder.path(), "file", b"before");
    let pending = |set: &mut libc::sigset_t| {
        // SAFETY: a live set.
        unsafe { libc::sigpending(set) };
    };
    // SAFETY: arrays of integers that the calls fill in.
    let (before, after) = unsafe {
        let (mut before, mut after) = (std::mem::zeroed(), std::mem::zeroed());
        let map = lease(FileMap::of(&File::open(&path).unwrap())).unwrap();
        libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), &raw mut before);
        fs::write(&path, "after!").unwrap();
        assert_eq!(&map[..], b"before");
        libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), &raw mut after);
        let mut action: libc::sigaction = std::mem::zeroed();
        for signal in [libc::SIGRTMAX(), libc::SIGIO] {
            libc::sigaction(signal, std::ptr::null(), &raw mut action);
            assert_eq!(action.sa_sigaction, libc::SIG_DFL);
        }
        let mut waiting = std::mem::zeroed();
        pending(&mut waiting);
        assert_eq!(libc::sigismember(&raw const waiting, libc::SIGRTMAX()), 0);
        (before, after)
    };
    for signal in 1..=64 {
        // SAFETY: live sets.
        let members = unsafe {
            (
                libc::sigismember(&raw const before, signal),
                libc::sigismember(&raw const after, signal),
            )
        };
        assert_eq!(members.0, members.1, "signal {signal}");
    }
}

#[test]
fn another_user_needs_the_capability() {
    // SAFETY: returns a number.
    if unsafe { libc::geteuid() } != 0 {
        let exe = File::open("/bin/sh").unwrap();
        assert_eq!(FileMap::of(&exe).leased().unwrap_err().kind(), Kind::NotPermitted);
        return;
    }
    let folder = folder();
    let path = file(folder.path(), "file", b"contents");
    let file = File::open(&path).unwrap();
    // SAFETY: the child gives up its rights, takes a lease, reports by its exit status.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: plain system calls of the child.
        unsafe {
            libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534);
        }
        let refused = FileMap::of(&file)
            .leased()
            .is_err_and(|error| error.kind() == Kind::NotPermitted);
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(!refused)) };
    }
    let mut status = -1;
    // SAFETY: a live variable.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status, 0);
}

#[test]
fn without_memory_for_the_copy_the_process_ends_before_the_bytes_change() {
    let folder = folder();
    let path = file(folder.path(), "file", &pattern(16 << 20, 1));
    let child = Child::start(|| {
        let map = lease(FileMap::of(&File::open(&path).unwrap())).unwrap();
        limit(libc::RLIMIT_AS, address_space() + (4 << 20));
        // Waits for the lease, which nobody can give up in good order.
        let _ = fs::write(&path, "other");
        drop(map);
    });
    assert_eq!(child.end(), Err(libc::SIGABRT));
    // The writer died before it was let in, and nobody else is kept waiting.
    assert_eq!(fs::read(&path).unwrap(), pattern(16 << 20, 1));
    fs::write(&path, "other").unwrap();
}

#[test]
fn the_thread_lives_as_long_as_there_are_leases() {
    let folder = folder();
    let path = file(folder.path(), "file", b"before");
    let is_running = || {
        fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok())
            .any(|name| name.trim() == "neap-lease")
    };
    in_child(|| {
        for _ in 0..2 {
            assert!(!is_running());
            let map = lease(FileMap::of(&File::open(&path).unwrap())).unwrap();
            assert!(is_running());
            fs::write(&path, "after!").unwrap();
            assert_eq!(map.len(), 6);
            drop(map);
            let start = Instant::now();
            while is_running() {
                assert!(start.elapsed() < Duration::from_secs(30), "the thread stays");
                thread::sleep(Duration::from_millis(20));
            }
        }
    });
}
