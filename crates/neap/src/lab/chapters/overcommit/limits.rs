//! Limits of one process: RLIMIT_DATA and RLIMIT_AS.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::*;

/// Room that is left below a limit.
const ROOM: usize = 16 << 20;

/// A soft limit of this process, which ends with it.
struct Lowered {
    resource: Resource,
    old: (u64, u64),
}

impl Lowered {
    /// To [`ROOM`] above what this line of /proc/self/status says.
    fn new(resource: Resource, line: &str) -> Result<Lowered, Stop> {
        let broken = |what: &str| {
            cannot(
                format!("{what} could not be learnt or set"),
                "ulimit -a, and a mounted /proc",
            )
        };
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let now: u64 = status
            .lines()
            .find_map(|text| {
                text.strip_prefix(line)?
                    .trim()
                    .strip_suffix("kB")?
                    .trim()
                    .parse()
                    .ok()
            })
            .ok_or_else(|| broken(line))?;
        let old = getrlimit(resource).map_err(|_| broken("the limit"))?;
        let soft = now * 1024 + ROOM as u64;
        setrlimit(resource, soft.min(old.1), old.1).map_err(|_| broken("the limit"))?;
        Ok(Lowered { resource, old })
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        let _ = setrlimit(self.resource, self.old.0, self.old.1);
    }
}

pub(super) const DATA: Experiment = Experiment {
    name: "rlimit-data-counts-mappings",
    chapter: Chapter::Overcommit,
    question: "Which mappings does RLIMIT_DATA limit?",
    method: "Set RLIMIT_DATA 16 MiB above what VmData says; map 8 MiB private, and 32 MiB in each kind.",
    expectation: "32 MiB private and writable is ENOMEM, with MAP_NORESERVE, too; read-only, without \
                  access and shared pass; making the read-only mapping writable is ENOMEM (Linux 4.7 \
                  or newer).",
    explanation: "Before Linux 4.7 the limit was the program break's and the data segment's only, and \
                  malloc went around it by mmap. Since then it counts every private writable mapping, \
                  used or not, which is what VmData of status shows. MAP_NORESERVE is about memory, \
                  not about this limit.",
    cannot_show: "The break's own check: see brk-at-rlimit-data.",
    source: "getrlimit(2), proc_pid_status(5) on VmData, mm/mmap.c of Linux, may_expand_vm.",
    since: Some((4, 7)),
    under: Under::Plain,
    c: include_str!("../../code/rlimit-data-counts-mappings.c"),
    rust: include_str!("../../code/rlimit-data-counts-mappings.rs"),
    run: data,
};

/// What is asked for in both experiments, by name.
fn requests() -> [(&'static str, Request); 5] {
    let base = private(2 * ROOM);
    let with = |prot, sharing, flags| Request {
        prot,
        sharing,
        flags,
        ..base
    };
    [
        ("private", base),
        (
            "private, MAP_NORESERVE",
            with(RW, Sharing::Private, Flags::NO_RESERVE),
        ),
        (
            "private, read-only",
            with(Prot::READ, Sharing::Private, Flags::NONE),
        ),
        (
            "private, without access",
            with(Prot::NONE, Sharing::Private, Flags::NONE),
        ),
        ("shared", with(RW, Sharing::Shared, Flags::NONE)),
    ]
}

fn data(hand: &mut Hand) -> Result<(), Stop> {
    hand.look("before the limit");
    let lowered = Lowered::new(Resource::RLIMIT_DATA, "VmData:")?;
    let small = Promise::get(private(ROOM / 2));
    let answers = requests().map(|(what, request)| (what, Promise::get(request)));
    let read_only = answers[2].1.as_ref().map_err(|errno| *errno);
    let made = read_only.and_then(|promise| promise.change(RW));
    hand.look("under the limit");
    drop(lowered);
    hand.expect_ok("private, half of the room", small);
    hand.expect_errno("the read-only one made writable", Errno::ENOMEM, made);
    for (what, answer) in answers {
        if what == "private" || what.ends_with("NORESERVE") {
            hand.expect_errno(what, Errno::ENOMEM, answer);
        } else {
            hand.expect_ok(what, answer);
        }
    }
    Ok(())
}

pub(super) const ADDRESS_SPACE: Experiment = Experiment {
    name: "rlimit-as-counts-all",
    chapter: Chapter::Overcommit,
    question: "Which mappings does RLIMIT_AS limit?",
    method: "Set RLIMIT_AS 16 MiB above what VmSize says; map 8 MiB private, and 32 MiB in each kind. \
             Unmap, and map 8 MiB again.",
    expectation: "Every kind is ENOMEM at 32 MiB; 8 MiB pass, and again when they were unmapped.",
    explanation: "The limit is on addresses, VmSize of status: what may be done with them and whether \
                  anything is there does not matter. So it hits programs that reserve much and use \
                  little, such as Go's, Java's and sanitizers', and does not tell how much memory a \
                  program takes.",
    cannot_show: "The stack's growth, which it limits, too.",
    source: "getrlimit(2), proc_pid_status(5) on VmSize, mm/mmap.c of Linux, may_expand_vm.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/rlimit-as-counts-all.c"),
    rust: include_str!("../../code/rlimit-as-counts-all.rs"),
    run: address_space,
};

fn address_space(hand: &mut Hand) -> Result<(), Stop> {
    hand.look("before the limit");
    let lowered = Lowered::new(Resource::RLIMIT_AS, "VmSize:")?;
    let small = Promise::get(private(ROOM / 2)).map(drop);
    let again = Promise::get(private(ROOM / 2));
    let answers = requests().map(|(what, request)| (what, Promise::get(request)));
    hand.look("under the limit");
    drop(lowered);
    hand.expect_ok("private, half of the room", small);
    hand.expect_ok("again, when that is unmapped", again);
    for (what, answer) in answers {
        hand.expect_errno(what, Errno::ENOMEM, answer);
    }
    Ok(())
}
