//! REMOVE: a hole in the file itself.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;

use neap_os::advice::Discard;
use neap_os::errno::Errno;
use neap_os::mapping::{Prot, Sharing};

use crate::lab::disk_file::{Content, io_failed, make_cold};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::{Ground, kb};
use crate::lab::hand::{Hand, Stop, cannot, failed};

pub(super) const OF_A_FILE: Experiment = Experiment {
    name: "remove-punches-a-file",
    chapter: Chapter::Madvise,
    question: "Does REMOVE give a file's disk space back?",
    method: "Write a file of 64 pages, map it shared, advise REMOVE for the 32 in the middle; then ask for \
             its length, its blocks, its bytes and its first hole.",
    expectation: "The length stays, the blocks fall by 32 pages, the middle reads 0 for everybody, SEEK_HOLE \
                  finds it.",
    explanation: "REMOVE is fallocate(FALLOC_FL_PUNCH_HOLE) by address. The pages leave the mapping, the \
                  page cache and the disk, and what is left is a hole: bytes that are zero because nothing \
                  is stored for them. Unlike DONTNEED it changes the file for all who use it. It works on \
                  file systems that have holes.",
    cannot_show: "When the disk knows of it: that is the file system's discard.",
    source: "Note 02, MADV_REMOVE; madvise(2); fallocate(2); lseek(2), SEEK_HOLE.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/remove-punches-a-file.c"),
    rust: include_str!("../../code/remove-punches-a-file.rs"),
    run: of_a_file,
};

/// Length in bytes, blocks in kB, offset of the first hole in pages.
fn shape(file: &File) -> Result<(u64, u64, u64), Stop> {
    let metadata = file.metadata().map_err(io_failed("fstat"))?;
    let hole = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(0))
        .map_err(|error| cannot(format!("lseek(SEEK_HOLE): {error}"), "a file system with holes"))?;
    Ok((metadata.len(), metadata.blocks() / 2, hole / (kb(1) * 1024)))
}

fn of_a_file(hand: &mut Hand) -> Result<(), Stop> {
    let file = hand.disk_file("file", kb(64) * 1024, Content::Byte(b'a'))?;
    make_cold(&file)?;
    let ground =
        Ground::of_file(&file, 64, Sharing::Shared, Prot::READ | Prot::WRITE).map_err(failed("mmap"))?;
    hand.watch("file", ground.span());
    let full = ground.count(b'a');
    let before = shape(&file)?;
    hand.look("the file is mapped and read");
    let advised = ground.discard(16..48, Discard::Remove);
    if advised == Err(Errno::EOPNOTSUPP) {
        return Err(cannot(
            "the folder's file system has no holes",
            "set TMPDIR to a folder on ext4, xfs or btrfs",
        ));
    }
    let seen = hand.look("after REMOVE of the middle 32 pages");
    let after = shape(&file)?;
    let zeros = ground.count(0);
    hand.expect_ok("madvise(MADV_REMOVE)", advised);
    hand.expect_eq("pages that read a before", 64, full);
    hand.expect_eq("kB there after it", kb(32), seen.span(0).rss_kb());
    hand.expect_eq("length in bytes", before.0, after.0);
    hand.expect_eq("kB of blocks given back", kb(32), before.1 - after.1);
    hand.expect_eq("first hole before, in pages", 64, before.2);
    hand.expect_eq("first hole after, in pages", 16, after.2);
    hand.expect_eq("pages that read 0", 32, zeros);
    Ok(())
}

pub(super) const OF_SHARED_MEMORY: Experiment = Experiment {
    name: "remove-frees-shared-memory",
    chapter: Chapter::Madvise,
    question: "How is shared memory given back while it stays mapped?",
    method: "Fill 64 pages of a memfd and 64 of shared anonymous memory; advise REMOVE for 32 of each, and \
             read.",
    expectation: "The blocks of the memfd fall by 32 pages; in both the 32 pages are in memory no more and \
                  read 0.",
    explanation: "Shared anonymous memory, a memfd, a file of tmpfs and System V memory are the same thing: \
                  a file whose page cache is all it has. A hole in it is memory given back at once. DONTNEED \
                  would leave the pages in the file.",
    cannot_show: "That another process notices: it sees zeros without a signal.",
    source: "madvise(2), MADV_REMOVE; mm/shmem.c, shmem_fallocate.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/remove-frees-shared-memory.c"),
    rust: include_str!("../../code/remove-frees-shared-memory.rs"),
    run: of_shared_memory,
};

/// A memfd of so many pages.
fn memory_file(pages: usize) -> Result<File, Stop> {
    let file = rustix::fs::memfd_create("neap-lab", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(|error| io_failed("memfd_create")(error.into()))?;
    let file = File::from(file);
    file.set_len(kb(pages) * 1024).map_err(io_failed("ftruncate"))?;
    Ok(file)
}

fn of_shared_memory(hand: &mut Hand) -> Result<(), Stop> {
    let memory = memory_file(64)?;
    let named =
        Ground::of_file(&memory, 64, Sharing::Shared, Prot::READ | Prot::WRITE).map_err(failed("mmap"))?;
    let nameless = Ground::shared(64).map_err(failed("mmap"))?;
    hand.watch("memfd", named.span());
    hand.watch("shared anonymous", nameless.span());
    named.fill(7);
    nameless.fill(7);
    let blocks = |file: &File| {
        file.metadata()
            .map(|m| m.blocks() / 2)
            .map_err(io_failed("fstat"))
    };
    let before = blocks(&memory)?;
    hand.look("both are filled");
    let first = named.discard(16..48, Discard::Remove);
    let second = nameless.discard(16..48, Discard::Remove);
    hand.look("after REMOVE of the middle 32 pages of each");
    let after = blocks(&memory)?;
    let left = nameless.resident().map_err(failed("mincore"))?;
    hand.expect_ok("madvise(MADV_REMOVE) of the memfd", first);
    hand.expect_ok("madvise(MADV_REMOVE) of shared anonymous memory", second);
    hand.expect_eq("kB of the memfd before", kb(64), before);
    hand.expect_eq("kB of the memfd after", kb(32), after);
    hand.expect_eq("pages of the other in memory, by mincore", 32, left);
    hand.expect_eq("pages of the memfd that read 0", 32, named.count(0));
    hand.expect_eq("pages of the other that read 0", 32, nameless.count(0));
    Ok(())
}

pub(super) const WRONG_MEMORY: Experiment = Experiment {
    name: "advice-for-the-wrong-memory",
    chapter: Chapter::Madvise,
    question: "What do FREE, WIPEONFORK and REMOVE say to memory that they are not for?",
    method: "Advise FREE and WIPEONFORK for shared memory and for a private file mapping; REMOVE for private \
             anonymous memory, a private file mapping, and a shared one of a file that is open for reading \
             only.",
    expectation: "FREE and WIPEONFORK are EINVAL; REMOVE is EINVAL for anonymous memory, EACCES for the \
                  others.",
    explanation: "FREE and WIPEONFORK are about pages that only this process has, so they take private \
                  anonymous memory alone. REMOVE changes a file: without a file it has no meaning (EINVAL), \
                  and without the right to write the file it is denied (EACCES), which a private mapping \
                  never gives.",
    cannot_show: "The EOPNOTSUPP of REMOVE: it needs a file system without holes, such as ramfs.",
    source: "madvise(2), ERRORS; mm/madvise.c, madvise_remove.",
    since: Some((4, 14)),
    under: Under::Plain,
    c: include_str!("../../code/advice-for-the-wrong-memory.c"),
    rust: include_str!("../../code/advice-for-the-wrong-memory.rs"),
    run: wrong_memory,
};

fn wrong_memory(hand: &mut Hand) -> Result<(), Stop> {
    let file = hand.disk_file("file", kb(4) * 1024, Content::Byte(b'a'))?;
    let reading = File::open(hand.scratch().join("file")).map_err(io_failed("open"))?;
    let both = Prot::READ | Prot::WRITE;
    let shared = Ground::shared(4).map_err(failed("mmap"))?;
    let private = Ground::of_file(&file, 4, Sharing::Private, both).map_err(failed("mmap"))?;
    let read_only = Ground::of_file(&reading, 4, Sharing::Shared, Prot::READ).map_err(failed("mmap"))?;
    let anonymous = Ground::anonymous(4).map_err(failed("mmap"))?;
    hand.watch("anonymous", anonymous.span());
    hand.watch("shared", shared.span());
    hand.watch("private file", private.span());
    hand.watch("read-only file", read_only.span());
    anonymous.fill(7);
    private.fill(7);
    hand.look("before the calls");
    for (what, ground) in [("shared memory", &shared), ("a private file mapping", &private)] {
        for advice in [Discard::Free, Discard::WipeOnFork] {
            let refused = ground.discard(0..4, advice);
            hand.expect_errno(&format!("{advice:?} of {what}"), Errno::EINVAL, refused);
        }
    }
    let refused = anonymous.discard(0..4, Discard::Remove);
    hand.expect_errno("Remove of private anonymous memory", Errno::EINVAL, refused);
    let refused = private.discard(0..4, Discard::Remove);
    hand.expect_errno("Remove of a private file mapping", Errno::EACCES, refused);
    let refused = read_only.discard(0..4, Discard::Remove);
    hand.expect_errno("Remove of a file open for reading", Errno::EACCES, refused);
    hand.look("after the calls");
    let kept = anonymous.count(7) + private.count(7) + read_only.count(b'a');
    hand.expect_eq("pages that are as they were", 12, kept);
    Ok(())
}
