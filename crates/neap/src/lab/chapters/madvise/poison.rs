//! HWPOISON and SOFT_OFFLINE: as if memory had failed.

use neap_os::advice::{Discard, Hint};
use neap_os::errno::Errno;

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::Ground;
use crate::lab::hand::{Hand, Stop, cannot, failed};
use crate::lab::offspring::End;

pub(super) const NEEDS_PRIVILEGE: Experiment = Experiment {
    name: "hwpoison-needs-privilege",
    chapter: Chapter::Madvise,
    question: "Who may declare memory broken?",
    method: "Ask the kernel, for no bytes, whether it knows HWPOISON and SOFT_OFFLINE; have a child without \
             privilege ask for a page.",
    expectation: "Both are EPERM without CAP_SYS_ADMIN, and the page is as it was.",
    explanation: "Both exist to test how programs and kernel deal with failing memory: HWPOISON gives the \
                  page's users SIGBUS, SOFT_OFFLINE moves the bytes elsewhere, and either takes a page of \
                  physical memory out of use until the next boot. The kernel has them if it is built with \
                  CONFIG_MEMORY_FAILURE.",
    cannot_show: "The poisoning itself: it would cost this machine a page of memory until it boots.",
    source: "Note 02, MADV_HWPOISON, MADV_SOFT_OFFLINE; madvise(2); mm/madvise.c, madvise_inject_error.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/hwpoison-needs-privilege.c"),
    rust: include_str!("../../code/hwpoison-needs-privilege.rs"),
    run: needs_privilege,
};

fn needs_privilege(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(1).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    ground.fill(7);
    // The kernel looks at the value first and then finds no bytes to do it to.
    let known = ground.discard(0..0, Discard::HwPoison);
    if known == Err(Errno::EINVAL) {
        return Err(cannot(
            "this kernel is built without CONFIG_MEMORY_FAILURE and does not know the advice",
            "a kernel with CONFIG_MEMORY_FAILURE",
        ));
    }
    hand.look("a page is filled");
    let answers = Ground::shared(2).map_err(failed("mmap"))?;
    let end = hand.in_child(|| {
        let error = |outcome: Result<(), Errno>| outcome.err().map_or(0, |errno| errno.0 as u8);
        // SAFETY: setresuid has no condition; the child has one thread, and ends soon.
        let dropped = unsafe { libc::setresuid(65534, 65534, 65534) == 0 || libc::geteuid() != 0 };
        if dropped {
            answers.write(0, error(ground.discard(0..1, Discard::HwPoison)));
            answers.write(1, error(ground.hint(0..1, Hint::SoftOffline)));
        }
        u8::from(dropped)
    })?;
    if end != End::Exited(1) {
        return Err(cannot(
            "the child could not give up its privilege",
            "run it as an ordinary user",
        ));
    }
    hand.look("after the child's calls");
    let name = |page| Errno(i32::from(answers.read(page))).name().unwrap_or("success");
    hand.expect_eq("madvise(MADV_HWPOISON) without privilege", "EPERM", name(0));
    hand.expect_eq("madvise(MADV_SOFT_OFFLINE) without privilege", "EPERM", name(1));
    hand.expect_eq("the page reads", 7, ground.read(0));
    Ok(())
}
