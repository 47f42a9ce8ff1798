//! Memory with a descriptor and no name.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

use neap_map::{Memfd, Sealing, Seals, Shm, parcel};
use neap_os::env::page_size;
use neap_os::errno::Errno;

use super::object::{code, os, refused};
use super::sysv::span_of;
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot};
use crate::lab::offspring::End;

/// A name for people.
pub(super) const NAMELESS: Experiment = Experiment {
    name: "memfd-has-no-name",
    chapter: Chapter::Shm,
    question: "What is the name of a memfd good for?",
    method: "Make two memfds of the same name, map both, store in one. Look at their lines in maps, at \
             their link counts and at /dev/shm.",
    expectation: "Two objects with 0 names each: a store in one is not seen in the other. maps calls both \
                  /memfd:NAME (deleted); /dev/shm has neither.",
    explanation: "A memfd is a file in the kernel's own tmpfs that never had a name in any folder: nobody \
                  can find it, collide with it or forget to remove it. The name is shown to people. Others \
                  get it by fork, over a socket, or, with the rights to look at the process, as \
                  /proc/PID/fd/N.",
    cannot_show: "memfds of huge pages, which lie in a hugetlbfs.",
    source: "memfd_create(2).",
    since: Some((3, 17)),
    under: Under::Plain,
    c: include_str!("../../code/memfd-has-no-name.c"),
    rust: include_str!("../../code/memfd-has-no-name.rs"),
    run: nameless,
};

fn nameless(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let name = format!("neap-lab-{}", std::process::id());
    let make = || {
        Memfd::named(&name)
            .create(page as u64)
            .map_err(refused("memfd_create"))
    };
    let (one, two) = (make()?, make()?);
    let first = one.map().map_err(refused("mmap"))?;
    let second = two.map().map_err(refused("mmap"))?;
    hand.watch("one", span_of(first.as_ptr(), page)?);
    hand.watch("the other", span_of(second.as_ptr(), page)?);
    first.write_at(0, b"1").map_err(refused("a store"))?;
    hand.look("two memfds of the same name");
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let end = format!(" /memfd:{name} (deleted)");
    hand.expect_eq(
        "lines of maps with the name",
        2,
        maps.lines().filter(|line| line.ends_with(&end)).count(),
    );
    hand.expect_eq(
        "the other's byte",
        0,
        second.read::<u8>(0).map_err(refused("a read"))?,
    );
    let links = |memfd: &Memfd| rustix::fs::fstat(memfd).map(|stat| stat.st_nlink).map_err(os);
    hand.expect_eq("names that one has", 0, links(&one).unwrap_or(u64::MAX as _));
    hand.expect_eq(
        "names that the other has",
        0,
        links(&two).unwrap_or(u64::MAX as _),
    );
    if let Ok(list) = Shm::list() {
        let found = list
            .iter()
            .filter(|(other, _)| other.to_string_lossy().contains(&name));
        hand.expect_eq("objects in /dev/shm with the name", 0, found.count());
    }
    let link = fs::read_link(format!("/proc/self/fd/{}", one.as_fd().as_raw_fd()));
    hand.figure(
        "where its descriptor's link leads",
        link.unwrap_or_default().display(),
    );
    Ok(())
}

/// Promises.
pub(super) const SEALS: Experiment = Experiment {
    name: "memfd-seals",
    chapter: Chapter::Shm,
    question: "What does each seal of a memfd forbid?",
    method: "F_SEAL_SHRINK, then make it shorter; F_SEAL_GROW, then longer. F_SEAL_WRITE while a shared \
             writable map lives, then F_SEAL_FUTURE_WRITE: store through that map, write(2), map anew. \
             Unmap, F_SEAL_WRITE, F_SEAL_SEAL, one more seal. Seal a memfd that was made without \
             MFD_ALLOW_SEALING.",
    expectation: "EPERM for what is sealed. F_SEAL_WRITE is EBUSY while the map lives, and with \
                  F_SEAL_FUTURE_WRITE (Linux 5.1) that map goes on storing while write and new maps are \
                  EPERM. After F_SEAL_SEAL every seal is EPERM, as without MFD_ALLOW_SEALING.",
    explanation: "A seal is a promise about the file, for everybody and for ever: what is sealed against \
                  shrinking cannot raise SIGBUS in who maps it, and what is sealed against writing can be \
                  checked once and believed. That is why F_SEAL_WRITE waits for the last writable map. A \
                  file that was not made for sealing starts with F_SEAL_SEAL.",
    cannot_show: "F_SEAL_EXEC (Linux 6.3), which is about the mode and not about memory.",
    source: "memfd_create(2), File sealing; fcntl(2), F_ADD_SEALS.",
    since: Some((5, 1)),
    under: Under::Plain,
    c: include_str!("../../code/memfd-seals.c"),
    rust: include_str!("../../code/memfd-seals.rs"),
    run: seals,
};

fn seals(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let len = 4 * page as u64;
    let memfd = Memfd::named("seals")
        .create(len)
        .map_err(refused("memfd_create"))?;
    let map = memfd.map().map_err(refused("mmap"))?;
    hand.watch("its map", span_of(map.as_ptr(), 4 * page)?);
    hand.look("mapped shared and writable");
    let seal = |seals| memfd.seal(seals).map_err(code);
    hand.expect_ok("F_SEAL_SHRINK", seal(Seals::SHRINK));
    hand.expect_errno(
        "ftruncate to less",
        Errno::EPERM,
        memfd.shrink(len / 2).map_err(code),
    );
    hand.expect_ok("F_SEAL_GROW", seal(Seals::GROW));
    let longer = memfd.grow(2 * len, neap_map::Allocation::Sparse).map_err(code);
    hand.expect_errno("ftruncate to more", Errno::EPERM, longer);
    hand.expect_errno(
        "F_SEAL_WRITE while it is mapped for writing",
        Errno::EBUSY,
        seal(Seals::WRITE),
    );
    hand.expect_ok("F_SEAL_FUTURE_WRITE", seal(Seals::FUTURE_WRITE));
    hand.expect_ok(
        "a store through the map that there is",
        map.write_at(0, b"old map").map_err(code),
    );
    let written = rustix::io::write(&memfd, b"x").map_err(os);
    hand.expect_errno("write(2)", Errno::EPERM, written);
    hand.expect_errno(
        "a new shared writable map",
        Errno::EPERM,
        memfd.map().map_err(code),
    );
    map.unmap().map_err(|error| refused("munmap")(error.error()))?;
    hand.look("unmapped");
    hand.expect_ok("F_SEAL_WRITE when no writable map is left", seal(Seals::WRITE));
    let reading = memfd.file_map().map().map_err(code);
    hand.expect_ok("a shared map for reading", reading);
    let private = memfd.file_map().copy_on_write().map().map_err(code);
    if let Some(copy) = hand.expect_ok("a private writable map", private) {
        let bytes: [u8; 7] = copy.read(0).map_err(refused("a read"))?;
        hand.expect_eq(
            "bytes there",
            "old map".to_owned(),
            String::from_utf8_lossy(&bytes).into_owned(),
        );
    }
    hand.expect_ok("F_SEAL_SEAL", seal(Seals::SEAL));
    hand.expect_errno("a seal after it", Errno::EPERM, seal(Seals::SHRINK));
    let plain = Memfd::named("not for sealing")
        .sealing(Sealing::Refused)
        .create(len);
    let plain = plain.map_err(refused("memfd_create"))?;
    let has = plain.seals().map_err(refused("F_GET_SEALS"))? == Seals::SEAL;
    hand.expect_eq(
        "seals without MFD_ALLOW_SEALING",
        "F_SEAL_SEAL",
        if has { "F_SEAL_SEAL" } else { "others" },
    );
    let refusal = plain.seal(Seals::SHRINK).map_err(code);
    hand.expect_errno("a seal without MFD_ALLOW_SEALING", Errno::EPERM, refusal);
    Ok(())
}

/// SCM_RIGHTS.
pub(super) const SOCKET: Experiment = Experiment {
    name: "memfd-by-socket",
    chapter: Chapter::Shm,
    question: "Can memory without a name be handed to another process?",
    method: "A child makes a memfd, stores a word in it, sends its descriptor over a Unix socket and ends. \
             Then its parent receives the message and maps what came.",
    expectation: "The parent maps the child's bytes, although no process had the memory in the meantime, \
                  and it is the parent's to store to.",
    explanation: "SCM_RIGHTS carries an open file, not a number: the receiver gets a new descriptor of the \
                  same file. While the message is under way the socket's queue holds the file open, so the \
                  memory lives in the queue, with no process that has it open or mapped. It goes with the \
                  socket if nobody reads.",
    cannot_show: "That a sender can be trusted: without F_SEAL_SHRINK it may cut the memory off.",
    source: "unix(7), SCM_RIGHTS; memfd_create(2).",
    since: Some((3, 17)),
    under: Under::Plain,
    c: include_str!("../../code/memfd-by-socket.c"),
    rust: include_str!("../../code/memfd-by-socket.rs"),
    run: socket,
};

fn socket(hand: &mut Hand) -> Result<(), Stop> {
    let broken = |error: std::io::Error| cannot(format!("a Unix socket: {error}"), "see the limits of files");
    let (here, there) = UnixStream::pair().map_err(broken)?;
    let end = hand.in_child(|| {
        let send = || {
            let memfd = Memfd::named("parcel").create(page_size() as u64)?;
            memfd.map()?.write_at(0, b"from a child")?;
            parcel::send(&there, b"memory", &[memfd.as_fd()])
        };
        u8::from(send().is_err())
    })?;
    drop(there);
    hand.look("the child has sent it and has ended");
    hand.expect_eq("the child's end", End::Exited(0), end);
    let mut message = [0; 6];
    let arrived = parcel::receive(&here, &mut message).map_err(refused("recvmsg"))?;
    let mut descriptors = arrived.map(|parcel| parcel.descriptors).unwrap_or_default();
    hand.expect_eq("descriptors that arrived", 1, descriptors.len());
    let Some(file) = descriptors.pop() else {
        return Ok(());
    };
    let memfd = Memfd::try_from(file).map_err(|error| refused("what came")(error.error()))?;
    let map = memfd.map().map_err(refused("mmap"))?;
    hand.watch("the map of what came", span_of(map.as_ptr(), page_size())?);
    let bytes: [u8; 12] = map.read(0).map_err(refused("a read"))?;
    hand.look("mapped and read");
    hand.expect_eq(
        "its bytes",
        "from a child".to_owned(),
        String::from_utf8_lossy(&bytes).into_owned(),
    );
    hand.expect_ok("a store", map.write_at(0, b"back").map_err(code));
    Ok(())
}
