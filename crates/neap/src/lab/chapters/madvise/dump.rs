//! DONTDUMP and DODUMP: what a core file holds.

use std::fs;

use neap_os::advice::Hint;

use crate::lab::disk_file::io_failed;
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::Ground;
use crate::lab::hand::{Hand, Stop, cannot, failed};

pub(super) const MARKED: Experiment = Experiment {
    name: "dontdump-is-a-mark",
    chapter: Chapter::Madvise,
    question: "What does DONTDUMP change in a running process?",
    method: "Advise DONTDUMP for the middle page of three, look at VmFlags, then DODUMP.",
    expectation: "The page gets dd and a line of maps of its own; with DODUMP the three are one mapping \
                  again. The bytes stay.",
    explanation: "The advice is a flag of the mapping that only the writer of core files reads. A mapping \
                  has one set of flags, so advice for a part of it splits it in three; when the flags are \
                  equal again the kernel merges them.",
    cannot_show: "That a core file lacks the bytes: see dontdump-keeps-bytes-out-of-a-core.",
    source: "Note 02, MADV_DONTDUMP; madvise(2) (Linux 3.4).",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/dontdump-is-a-mark.c"),
    rust: include_str!("../../code/dontdump-is-a-mark.rs"),
    run: marked,
};

fn marked(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(3).map_err(failed("mmap"))?;
    hand.watch("first page", ground.pages(0..1));
    hand.watch("middle page", ground.pages(1..2));
    ground.fill(7);
    let before = hand.look("three pages are filled");
    let advised = ground.hint(1..2, Hint::DontDump);
    let marked = hand.look("after DONTDUMP of the middle page");
    let undone = ground.hint(1..2, Hint::DoDump);
    let after = hand.look("after DODUMP");
    hand.expect_ok("madvise(MADV_DONTDUMP)", advised);
    hand.expect_eq(
        "VmFlags of the middle page has dd",
        true,
        marked.span(1).has_flag("dd"),
    );
    hand.expect_eq(
        "VmFlags of the first page has dd",
        false,
        marked.span(0).has_flag("dd"),
    );
    hand.expect_eq("lines of maps more", 2, marked.mappings() - before.mappings());
    hand.expect_ok("madvise(MADV_DODUMP)", undone);
    hand.expect_eq(
        "VmFlags of the middle page has dd then",
        false,
        after.span(1).has_flag("dd"),
    );
    hand.expect_eq("lines of maps", before.mappings(), after.mappings());
    hand.expect_eq("pages that read as before", 3, ground.count(7));
    Ok(())
}

pub(super) const LEFT_OUT: Experiment = Experiment {
    name: "dontdump-keeps-bytes-out-of-a-core",
    chapter: Chapter::Madvise,
    question: "Does a core file lack memory that was advised DONTDUMP?",
    method: "Write one pattern to 16 pages and another to 16 that are advised DONTDUMP; a child aborts with \
             a core file in the experiment's folder; count both patterns in it.",
    expectation: "The core holds the first pattern 16 times and the second not at all.",
    explanation: "The kernel writes a core mapping by mapping and gives those with VM_DONTDUMP a header \
                  without bytes. So a large cache does not make cores large, and a key does not get into \
                  them.",
    cannot_show: "That no copy is on a stack or in a register: those are dumped.",
    source: "Note 02, MADV_DONTDUMP; core(5); fs/coredump.c, vma_dump_size.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/dontdump-keeps-bytes-out-of-a-core.c"),
    rust: include_str!("../../code/dontdump-keeps-bytes-out-of-a-core.rs"),
    run: left_out,
};

/// Bytes of a pattern.
const PATTERN: usize = 16;

/// A byte of a pattern. Patterns are written byte by byte: an array would leave a copy on the stack.
const fn pattern(kind: u8, index: usize) -> u8 {
    kind ^ (index as u8).wrapping_mul(37)
}

/// 16 pages, each starting with the pattern.
fn patterned(kind: u8) -> Result<Ground, Stop> {
    let ground = Ground::anonymous(16).map_err(failed("mmap"))?;
    for page in 0..16 {
        for index in 0..PATTERN {
            ground.write_at(page, index, pattern(kind, index));
        }
    }
    Ok(ground)
}

/// How often the pattern is in `bytes`.
fn times(bytes: &[u8], kind: u8) -> usize {
    let wanted: Vec<u8> = (0..PATTERN).map(|index| pattern(kind, index)).collect();
    bytes.windows(PATTERN).filter(|window| *window == wanted).count()
}

/// Aborts in a child that may leave a core in `folder`; whether it says that it has left one.
fn core_in(folder: &std::path::Path) -> Result<bool, Stop> {
    // SAFETY: fork has no condition; the child calls what may be called in one, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let _ = rustix::process::chdir(folder);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
        let most = rustix::process::Rlimit {
            current: limit.maximum,
            ..limit
        };
        let _ = rustix::process::setrlimit(rustix::process::Resource::Core, most);
        // SAFETY: abort has no condition; nothing of this process is to be kept but its core.
        unsafe { libc::abort() };
    }
    let mut status = 0;
    // SAFETY: waitpid writes the status to the integer, which lives here.
    if unsafe { libc::waitpid(child, &raw mut status, 0) } != child {
        return Err(io_failed("fork and waitpid")(std::io::Error::last_os_error()));
    }
    Ok(libc::WCOREDUMP(status))
}

fn left_out(hand: &mut Hand) -> Result<(), Stop> {
    let core_pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if core_pattern.starts_with(['|', '/', '@']) || core_pattern.trim().is_empty() {
        return Err(cannot(
            format!(
                "kernel.core_pattern is {}: the core would not be in this folder",
                core_pattern.trim()
            ),
            "sysctl kernel.core_pattern=core",
        ));
    }
    let (kept, omitted) = (patterned(0x5a)?, patterned(0xc3)?);
    hand.watch("in the core", kept.span());
    hand.watch("not in the core", omitted.span());
    omitted
        .hint(0..16, Hint::DontDump)
        .map_err(failed("MADV_DONTDUMP"))?;
    hand.look("both are filled, the second is advised DONTDUMP");
    let dumped = core_in(hand.scratch())?;
    let core = fs::read_dir(hand.scratch())
        .map_err(io_failed("the folder"))?
        .filter_map(|entry| fs::read(entry.ok()?.path()).ok())
        .max_by_key(Vec::len);
    let Some(core) = core.filter(|_| dumped) else {
        return Err(cannot("the child left no core file", "ulimit -c unlimited"));
    };
    hand.figure("bytes of the core", core.len());
    hand.expect_eq("times the first pattern is in it", 16, times(&core, 0x5a));
    hand.expect_eq("times the second is", 0, times(&core, 0xc3));
    Ok(())
}
