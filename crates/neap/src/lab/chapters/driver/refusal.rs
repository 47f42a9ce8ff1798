//! Drivers that have no memory to map.

use std::fs::File;
use std::os::fd::OwnedFd;

use neap_map::Device;
use neap_os::env::page_size;
use neap_os::errno::Errno;

use super::call::span;
use crate::lab::chapters::shm::object::{code, refused};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot};

/// ENODEV.
pub(super) const NONE: Experiment = Experiment {
    name: "driver-without-memory",
    chapter: Chapter::Driver,
    question: "Which things that can be opened can be mapped?",
    method: "Map a page of a pipe, a socket, a terminal, /dev/null and an epoll; then of /dev/zero, shared \
             and private. Look which devices of physical memory this machine has.",
    expectation: "ENODEV for all but /dev/zero, which hands out memory of zeros.",
    explanation: "mmap asks the file's driver: what it has for its mmap operation decides. Most have none, \
                  and then it is ENODEV, whatever the arguments are. /dev/zero has one and makes anonymous \
                  memory of it: a private map of it is what MAP_ANONYMOUS became.",
    cannot_show: "What /dev/mem would show: the memory of all, which most kernels keep from everybody.",
    source: "Note 01, file_operations.mmap; mmap(2), ENODEV; zero(4), mem(4).",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/driver-without-memory.c"),
    rust: include_str!("../../code/driver-without-memory.rs"),
    run: none,
};

fn none(hand: &mut Hand) -> Result<(), Stop> {
    let missing =
        |error: std::io::Error| cannot(format!("a file to map: {error}"), "see the limits of files");
    let page = page_size() as u64;
    let (reader, _writer) = std::io::pipe().map_err(missing)?;
    let (socket, _other) = std::os::unix::net::UnixStream::pair().map_err(missing)?;
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(missing)?;
    let flags = rustix::event::epoll::CreateFlags::CLOEXEC;
    let epoll = rustix::event::epoll::create(flags).map_err(|errno| missing(errno.into()))?;
    let mut files: Vec<(&str, OwnedFd)> = vec![
        ("a pipe", reader.into()),
        ("a socket", socket.into()),
        ("/dev/null", null.into()),
        ("an epoll", epoll),
    ];
    let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
    match rustix::pty::openpt(flags) {
        Ok(terminal) => files.push(("a terminal", terminal)),
        Err(errno) => hand.figure("a terminal", format!("cannot be opened here: {errno}")),
    }
    for (what, file) in files {
        let answer = Device::of(&file, 0..page).map().map_err(code);
        hand.expect_errno(&format!("mmap of {what}"), Errno::ENODEV, answer);
    }
    let zero = File::options()
        .read(true)
        .write(true)
        .open("/dev/zero")
        .map_err(missing)?;
    let shared = Device::of(&zero, 0..page)
        .map()
        .map_err(refused("mmap of /dev/zero"))?;
    hand.watch("/dev/zero, shared", span(&shared)?);
    hand.look("of /dev/zero");
    let first = shared.read_u64(0).map_err(code);
    hand.expect_eq("first word of /dev/zero", 0, first.unwrap_or(u64::MAX));
    let private = Device::of(&zero, 0..page).private().map().map_err(code);
    hand.expect_ok("a private map of it", private);
    for device in ["/dev/mem", "/dev/port", "/dev/uio0", "/dev/fb0", "/dev/dri/card0"] {
        let is_there = std::path::Path::new(device).exists();
        hand.figure(device, if is_there { "is there" } else { "is not there" });
    }
    Ok(())
}
