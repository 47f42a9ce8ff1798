//! DONTFORK, DOFORK, WIPEONFORK, KEEPONFORK: what a child gets.

use neap_os::advice::{Discard, Hint};
use neap_os::errno::Errno;

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::Ground;
use crate::lab::hand::{Hand, Stop, failed};
use crate::lab::offspring::End;

pub(super) const DONT_FORK: Experiment = Experiment {
    name: "dontfork-leaves-a-hole",
    chapter: Chapter::Madvise,
    question: "What is at the addresses of memory advised DONTFORK in a child?",
    method: "Fill 4 pages, advise DONTFORK, and have children ask mincore about them and read them; advise \
             DOFORK and have another child read.",
    expectation: "VmFlags says dc. In the child mincore is ENOMEM and a read is SEGV_MAPERR: nothing is \
                  mapped. After DOFORK the child reads what its parent wrote.",
    explanation: "fork copies the list of mappings one by one and skips those with VM_DONTCOPY. The child's \
                  addresses are simply free; a later mmap there may take them. It was made for memory that a \
                  device writes by DMA: copy on write in the parent would move the page away from the \
                  device.",
    cannot_show: "What happens to a child that execs: it loses all mappings anyway.",
    source: "Note 02, MADV_DONTFORK; madvise(2); kernel/fork.c, dup_mmap.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/dontfork-leaves-a-hole.c"),
    rust: include_str!("../../code/dontfork-leaves-a-hole.rs"),
    run: dont_fork,
};

fn dont_fork(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(4).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    ground.fill(7);
    hand.look("4 pages are filled");
    let advised = ground.discard(0..4, Discard::DontFork);
    let marked = hand.look("after DONTFORK");
    let asked = hand.in_child(|| u8::from(ground.resident() == Err(Errno::ENOMEM)))?;
    let fault = hand.fault_of(|| {
        ground.read(0);
    })?;
    let undone = ground.hint(0..4, Hint::DoFork);
    let plain = hand.look("after DOFORK");
    let read = hand.in_child(|| ground.read(3))?;
    hand.expect_ok("madvise(MADV_DONTFORK)", advised);
    hand.expect_eq("VmFlags has dc", true, marked.span(0).has_flag("dc"));
    hand.expect("mincore in the child", "ENOMEM", asked, asked == End::Exited(1));
    hand.expect_fault("a read in the child", "SEGV_MAPERR", fault);
    hand.expect_ok("madvise(MADV_DOFORK)", undone);
    hand.expect_eq("VmFlags has dc then", false, plain.span(0).has_flag("dc"));
    hand.expect(
        "what a child reads then",
        "7, its exit code",
        read,
        read == End::Exited(7),
    );
    Ok(())
}

pub(super) const WIPE_ON_FORK: Experiment = Experiment {
    name: "wipeonfork-reads-zero",
    chapter: Chapter::Madvise,
    question: "What does a child read in memory advised WIPEONFORK?",
    method: "Fill 4 pages, advise WIPEONFORK, and have a child read them, write them and fork; advise \
             KEEPONFORK and have another child read.",
    expectation: "VmFlags says wf. The child reads 0, can write, and its own child reads 0 again; the parent \
                  keeps its bytes. After KEEPONFORK a child reads them.",
    explanation: "fork copies the mapping and not its pages, so the child starts as if it had just mapped \
                  them. The flag is inherited, so it holds for grandchildren. It is for secrets that must \
                  not exist twice: the state of a random number generator, keys.",
    cannot_show: "That nothing else has copies, such as registers or a stack.",
    source: "madvise(2), MADV_WIPEONFORK (Linux 4.14); kernel/fork.c, dup_mmap.",
    since: Some((4, 14)),
    under: Under::Plain,
    c: include_str!("../../code/wipeonfork-reads-zero.c"),
    rust: include_str!("../../code/wipeonfork-reads-zero.rs"),
    run: wipe_on_fork,
};

fn wipe_on_fork(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(4).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    ground.fill(7);
    hand.look("4 pages are filled");
    let advised = ground.discard(0..4, Discard::WipeOnFork);
    let marked = hand.look("after WIPEONFORK");
    let zeros = hand.in_child(|| ground.count(0) as u8)?;
    let answer = Ground::shared(1).map_err(failed("mmap"))?;
    answer.write(0, u8::MAX);
    hand.in_child(|| {
        ground.fill(9);
        // SAFETY: fork has no condition; the grandchild reads, tells and ends.
        let grandchild = unsafe { libc::fork() };
        if grandchild == 0 {
            answer.write(0, ground.read(0));
            return 0;
        }
        // SAFETY: waitpid without a place for the status writes nothing.
        unsafe { libc::waitpid(grandchild, std::ptr::null_mut(), 0) };
        0
    })?;
    let kept = ground.count(7);
    let undone = ground.hint(0..4, Hint::KeepOnFork);
    let plain = hand.look("after KEEPONFORK");
    let read = hand.in_child(|| ground.read(3))?;
    hand.expect_ok("madvise(MADV_WIPEONFORK)", advised);
    hand.expect_eq("VmFlags has wf", true, marked.span(0).has_flag("wf"));
    hand.expect(
        "pages of the child that read 0",
        "4, its exit code",
        zeros,
        zeros == End::Exited(4),
    );
    hand.expect_eq(
        "what the grandchild reads, where its parent wrote 9",
        0,
        answer.read(0),
    );
    hand.expect_eq("pages of the parent that are as they were", 4, kept);
    hand.expect_ok("madvise(MADV_KEEPONFORK)", undone);
    hand.expect_eq("VmFlags has wf then", false, plain.span(0).has_flag("wf"));
    hand.expect(
        "what a child reads then",
        "7, its exit code",
        read,
        read == End::Exited(7),
    );
    Ok(())
}
