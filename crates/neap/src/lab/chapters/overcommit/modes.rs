//! The other two modes of vm.overcommit_memory.

use super::*;

pub(super) const ONE: Experiment = Experiment {
    name: "overcommit-mode-1",
    chapter: Chapter::Overcommit,
    question: "What does the kernel refuse in overcommit mode 1?",
    method: "Set vm.overcommit_memory to 1. Map four times as much as there is memory and swap: \
             private, shared, and read-only made writable. Then 2^63 bytes.",
    expectation: "All pass but 2^63 bytes: ENOMEM, as there are not so many addresses.",
    explanation: "Mode 1 promises everything. It is for programs that map far more than they ever \
                  touch and know it, such as sparse arrays. Committed_AS is kept all the same; nobody \
                  compares it with anything.",
    cannot_show: "That a program survives the use of what was promised.",
    source: SOURCE,
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/overcommit-mode-1.c"),
    rust: include_str!("../../code/overcommit-mode-1.rs"),
    run: one,
};

fn one(hand: &mut Hand) -> Result<(), Stop> {
    no_limits()?;
    set_mode(hand, "1")?;
    let len = memory_and_swap().saturating_mul(4);
    let before = hand.look("nothing is promised");
    let promise = Promise::get(private(len));
    let after = hand.look("four times memory and swap are promised");
    let is_there = hand.expect_ok("private", promise).is_some();
    if is_there {
        let kb = len as u64 / 1024;
        let rise = after.committed_kb().saturating_sub(before.committed_kb());
        hand.expect_near("rise of Committed_AS", kb, rise, kb / 4, "kB");
    }
    let shared = Request {
        sharing: Sharing::Shared,
        ..private(len)
    };
    hand.expect_ok("shared", Promise::get(shared));
    let read_only = Request {
        prot: Prot::READ,
        ..private(len)
    };
    if let Some(promise) = hand.expect_ok("read-only", Promise::get(read_only)) {
        hand.expect_ok("made writable", promise.change(RW));
    }
    hand.expect_errno("2^63 bytes", Errno::ENOMEM, Promise::get(private(1 << 63)));
    Ok(())
}

pub(super) const TWO: Experiment = Experiment {
    name: "overcommit-mode-2",
    chapter: Chapter::Overcommit,
    question: "What does the kernel refuse in overcommit mode 2?",
    method: "Set vm.overcommit_ratio to 1000 and vm.overcommit_memory to 2, so that no other program \
             is in want, and read CommitLimit. Map half of it, and half of it again; all of it with \
             MAP_NORESERVE, read-only, and shared of a sparse file.",
    expectation: "The first half passes, the second is ENOMEM, and so is MAP_NORESERVE. Read-only and \
                  shared of a file pass.",
    explanation: "Mode 2 adds up: what is counted of all processes, Committed_AS, stays below \
                  CommitLimit, which is swap and overcommit_ratio per cent of memory (that may be more \
                  than 100, as here). So a promise can be kept, and MAP_NORESERVE, a wish not to be \
                  counted, is ignored. What is not counted, as it needs no memory of its own, is not \
                  limited either.",
    cannot_show: "The usual ratio of 50: other programs would fail.",
    source: SOURCE,
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/overcommit-mode-2.c"),
    rust: include_str!("../../code/overcommit-mode-2.rs"),
    run: two,
};

/// CommitLimit in bytes.
fn commit_limit() -> Option<usize> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("CommitLimit:"))?;
    let kb: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kb.checked_mul(1024)
}

fn two(hand: &mut Hand) -> Result<(), Stop> {
    no_limits()?;
    let in_kb = fs::read_to_string("/proc/sys/vm/overcommit_kbytes").unwrap_or_default();
    if !matches!(in_kb.trim(), "" | "0") {
        return Err(cannot(
            "the limit is set by vm.overcommit_kbytes, which setting a ratio would lose",
            "sysctl vm.overcommit_kbytes=0",
        ));
    }
    hand.change(Setting::OvercommitRatio, "1000")?;
    set_mode(hand, "2")?;
    let limit = commit_limit().ok_or_else(|| cannot("/proc/meminfo has no CommitLimit", "mount /proc"))?;
    let half = (limit / 2) & !0xfff_ffff;
    let file = hand.disk_file("sparse", limit as u64, Content::Hole)?;
    hand.figure("CommitLimit, in MiB", limit >> 20);
    hand.look("nothing is promised");
    let first = Promise::get(private(half));
    hand.look("half of the limit is promised");
    // Together more than the limit, however little other programs were promised.
    let second = Promise::get(private(half + half / 4));
    let all = private(limit);
    let no_reserve = Promise::get(Request {
        flags: Flags::NO_RESERVE,
        ..all
    });
    let read_only = Promise::get(Request {
        prot: Prot::READ,
        ..all
    });
    let shared = Promise::get(Request {
        sharing: Sharing::Shared,
        source: Source::File(fd_of(&file), 0),
        ..all
    });
    hand.look("the others have been asked for");
    hand.expect_ok(
        "private, half of the limit",
        first.as_ref().map_err(|errno| *errno),
    );
    hand.expect_errno("private, more than the other half", Errno::ENOMEM, second);
    hand.expect_errno("with MAP_NORESERVE, all", Errno::ENOMEM, no_reserve);
    hand.expect_ok("read-only, all", read_only);
    hand.expect_ok("shared, of a file, all", shared);
    Ok(())
}
