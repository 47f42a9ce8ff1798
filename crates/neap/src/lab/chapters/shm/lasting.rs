//! How long an object of POSIX shared memory lasts, and who finds it.

use std::fs;
use std::process::{Command, Stdio};

use neap_os::env::page_size;
use neap_os::errno::Errno;
use rustix::fs::{fstat, ftruncate};

use super::object::{Name, Pages, in_child, os};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot, failed};

/// Neither name nor descriptor is needed.
pub(super) const OUTLIVES: Experiment = Experiment {
    name: "shm-posix-map-outlives-name",
    chapter: Chapter::Shm,
    question: "Does a map of an object live on when the name is removed and the descriptor closed?",
    method: "Make an object of a page, map it, store a byte; shm_unlink and close; read and store through \
             the map; make an object of the same name and read it.",
    expectation: "The byte is still there and the map can be stored to. The name is ENOENT; the new object \
                  is another one and reads 0. The map's line in maps ends in (deleted).",
    explanation: "A file lives as long as a name, a descriptor or a mapping is left of it. Removing the \
                  name as soon as everybody has mapped the object is therefore the way not to leave \
                  anything behind: the memory goes with the last mapping, however its process ends.",
    cannot_show: "That the memory is given back with the last mapping: shm-in-which-column does.",
    source: "Note 01, shm, persistence; shm_unlink(3), mmap(2).",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/shm-posix-map-outlives-name.c"),
    rust: include_str!("../../code/shm-posix-map-outlives-name.rs"),
    run: outlives,
};

fn outlives(hand: &mut Hand) -> Result<(), Stop> {
    let name = Name::new("outlives");
    let page = page_size();
    let file = name.create().map_err(failed("shm_open"))?;
    ftruncate(&file, page as u64)
        .map_err(os)
        .map_err(failed("ftruncate"))?;
    let inode = fstat(&file).map(|stat| stat.st_ino).unwrap_or(0);
    let pages = Pages::writable(&file, page).map_err(failed("mmap of the object"))?;
    pages.store(0, b'a');
    hand.watch("the object's map", pages.span());
    hand.look("with name and descriptor");
    let unlinked = name.unlink();
    drop(file);
    hand.look("without");
    let old = pages.load(0);
    pages.store(0, b'b');
    let new = pages.load(0);
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let start = format!("{:x}-", pages.span().base());
    let line = maps.lines().find(|line| line.starts_with(&start));
    let is_deleted = line.is_some_and(|line| line.ends_with("(deleted)"));
    let gone = name.open(libc::O_RDWR, 0);
    let other = name.create().map_err(failed("shm_open of the name once more"))?;
    ftruncate(&other, page as u64)
        .map_err(os)
        .map_err(failed("ftruncate"))?;
    let stat = fstat(&other).map_err(os).map_err(failed("fstat"))?;
    let fresh = Pages::writable(&other, page).map_err(failed("mmap of the new object"))?;

    hand.expect_ok("shm_unlink", unlinked);
    hand.expect_eq("byte read through the map", b'a', old);
    hand.expect_eq("byte read after a store", b'b', new);
    hand.expect(
        "end of the line in maps",
        "(deleted)",
        line.unwrap_or("no line"),
        is_deleted,
    );
    hand.expect_errno("shm_open of the removed name", Errno::ENOENT, gone);
    hand.expect(
        "the new object",
        "another inode",
        stat.st_ino,
        stat.st_ino != inode,
    );
    hand.expect_eq("its first byte", 0, fresh.load(0));
    Ok(())
}

/// The creator has ended.
pub(super) const PERSISTS: Experiment = Experiment {
    name: "shm-posix-outlives-its-maker",
    chapter: Chapter::Shm,
    question: "What is left of an object when the process that made it has ended?",
    method: "A child makes an object of 16 pages, writes them and ends without shm_unlink. Its parent, \
             which has never had it open, opens the name, maps it and reads; then it removes it.",
    expectation: "The object has its 16 pages and its bytes, and takes their memory all the time. After \
                  shm_unlink the name is ENOENT.",
    explanation: "The object has kernel persistence: it belongs to a file system in memory and to no \
                  process. Nothing removes it but shm_unlink or the end of the system, so a program that is \
                  killed between the two leaves memory that no process has. ls -l /dev/shm shows it.",
    cannot_show: "That it is gone after a restart: all of a tmpfs is.",
    source: "Note 01, shm, persistence; shm_overview(7), Persistence.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/shm-posix-outlives-its-maker.c"),
    rust: include_str!("../../code/shm-posix-outlives-its-maker.rs"),
    run: persists,
};

fn persists(hand: &mut Hand) -> Result<(), Stop> {
    let name = Name::new("persists");
    let (page, len) = (page_size(), 16 * page_size());
    let made = in_child(hand, || {
        let file = name.create()?;
        ftruncate(&file, len as u64).map_err(os)?;
        let pages = Pages::writable(&file, len)?;
        (0..len).step_by(page).for_each(|at| pages.store(at, b'c'));
        Ok(())
    })?;
    made.map_err(failed("a child that makes the object"))?;
    let file = name
        .open(libc::O_RDWR, 0)
        .map_err(failed("shm_open when its maker has ended"))?;
    let stat = fstat(&file).map_err(os).map_err(failed("fstat"))?;
    let pages = Pages::writable(&file, len).map_err(failed("mmap"))?;
    hand.watch("the object's map", pages.span());
    let before = hand.look("mapped by one who did not make it");
    let bytes = (0..len)
        .step_by(page)
        .filter(|&at| pages.load(at) == b'c')
        .count();
    let after = hand.look("read");
    hand.expect_eq("bytes long", len as u64, stat.st_size.unsigned_abs());
    hand.expect_eq("bytes of memory", len as u64, stat.st_blocks.unsigned_abs() * 512);
    hand.expect_eq("pages with the child's byte", 16, bytes);
    hand.expect_eq(
        "kB of it in this process before a touch",
        0,
        before.span(0).rss_kb(),
    );
    hand.expect_eq("kB after", (len / 1024) as u64, after.span(0).rss_kb());
    let removed = name.unlink();
    hand.expect_ok("shm_unlink", removed);
    let gone = name.open(libc::O_RDWR, 0);
    hand.expect_errno("shm_open after it", Errno::ENOENT, gone);
    Ok(())
}

/// No common ancestor's map.
pub(super) const STRANGERS: Experiment = Experiment {
    name: "shm-posix-between-strangers",
    chapter: Chapter::Shm,
    question: "Can a program that has nothing to do with the maker share an object?",
    method: "Make an object and store hello through a map. Start a shell, which knows the name and nothing \
             else: it reads the file in /dev/shm with cat and writes world over it. Read through the map.",
    expectation: "The shell reads hello; the map shows world at once.",
    explanation: "A name is what strangers have in common: no fork, no inherited mapping and no descriptor. \
                  Each opens the same file, and a shared map and read or write meet in the same page of the \
                  page cache, so there is nothing to synchronise between the two ways of access. Whose turn \
                  it is they must agree on by other means, such as a semaphore.",
    cannot_show: "Any order between stores of two processes that do not synchronise.",
    source: "Note 01, shm, and mmap between processes that are not related; shm_overview(7).",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/shm-posix-between-strangers.c"),
    rust: include_str!("../../code/shm-posix-between-strangers.rs"),
    run: strangers,
};

fn strangers(hand: &mut Hand) -> Result<(), Stop> {
    let name = Name::new("strangers");
    let file = name.create().map_err(failed("shm_open"))?;
    ftruncate(&file, 5).map_err(os).map_err(failed("ftruncate"))?;
    let pages = Pages::writable(&file, 5).map_err(failed("mmap"))?;
    hand.watch("the object's map", pages.span());
    (0..).zip(b"hello").for_each(|(at, &byte)| pages.store(at, byte));
    hand.look("hello is stored");
    // 1<> opens for reading and writing and cuts nothing off.
    let output = Command::new("sh")
        .args(["-c", "cat \"$1\" && printf world 1<>\"$1\"", "sh"])
        .arg(name.path())
        .env_remove("LD_PRELOAD")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| cannot(format!("sh: {error}"), "install a shell"))?;
    hand.look("the shell has written world");
    let read = String::from_utf8_lossy(&output.stdout).into_owned();
    let bytes: Vec<u8> = (0..5).map(|at| pages.load(at)).collect();
    hand.expect(
        "the shell",
        "exit status: 0",
        output.status,
        output.status.success(),
    );
    hand.expect_eq("what it read", "hello".to_owned(), read);
    let shown = String::from_utf8_lossy(&bytes).into_owned();
    hand.expect_eq("what the map shows", "world".to_owned(), shown);
    Ok(())
}
