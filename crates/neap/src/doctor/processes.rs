//! What `neap run` and `neap compare` read of processes, tried on this one.

use std::fs::{self, File, OpenOptions};
use std::io;

use neap_proc::Reading;
use neap_proc::read::{Host, Proc};

use super::calls::{self, Answers};
use super::limits::missing;
use super::{Check, Group, NOTHING, Need, Status};

/// The first process: another user's unless neap is run by root.
const INIT: u32 = 1;

pub(super) fn group(answers: &Answers) -> Group {
    let (proc, own) = (Proc::default(), std::process::id());
    let mount = "mount proc(5) at /proc, without hidepid";
    let mut checks = vec![
        of("/proc/PID/statm", Need::Needed, &proc.statm(own)).costs("neap run measures nothing", mount),
        of("/proc/PID/status", Need::Needed, &proc.status(own))
            .costs("peaks between two readings are missed", mount),
        of("/proc/PID/maps", Need::Optional, &proc.maps(own)).costs(
            "neap compare does not see whether a library is in a process",
            mount,
        ),
        of("/proc/PID/task/TID/children", Need::Optional, &proc.children(own)).costs(
            "children are found by reading every process of the machine",
            "a kernel built with CONFIG_PROC_CHILDREN",
        ),
        of("/proc/PID/smaps_rollup", Need::Optional, &proc.smaps_rollup(own))
            .costs("neap run has no PSS", "use Linux 4.14 or newer"),
        of(
            "another user's processes",
            Need::Optional,
            &proc.smaps_rollup(INIT),
        )
        .costs(
            "PSS leaves out processes of the command that run as another user",
            "run neap with CAP_SYS_PTRACE (as root) where that matters",
        ),
        clear_refs(),
        calls::check(answers, "memfd_create", Need::Needed).costs(
            "neap run cannot give the heaps a place for their counters",
            "use Linux 3.17 or newer, or allow it in the sandbox",
        ),
    ];
    checks.extend(profilers(&Host::default()));
    Group {
        name: "reading processes",
        checks,
    }
}

fn of<T>(name: &'static str, need: Need, reading: &Reading<T>) -> Check {
    let (status, found) = match reading {
        Reading::Value(_) => (Status::Ok, "readable".to_owned()),
        other => missing(other),
    };
    Check {
        need,
        ..Check::optional(name, status, found)
    }
}

fn result(outcome: &io::Result<()>) -> (Status, String) {
    match outcome {
        Ok(()) => (Status::Ok, "works".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => (Status::Denied, error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (Status::Missing, error.to_string()),
        Err(error) => (Status::Unknown, error.to_string()),
    }
}

/// Writing 5 resets the peak of this process alone (proc(5)).
fn clear_refs() -> Check {
    let outcome = OpenOptions::new()
        .write(true)
        .open("/proc/self/clear_refs")
        .and_then(|mut file| io::Write::write_all(&mut file, b"5"));
    let (status, found) = result(&outcome);
    Check::optional("/proc/PID/clear_refs", status, found).costs(
        "peaks of commands smaller than neap itself come from readings alone",
        "a kernel built with CONFIG_PROC_PAGE_MONITOR",
    )
}

/// What profilers ask for; this version needs none of it.
fn profilers(host: &Host) -> Vec<Check> {
    let paranoid = match host.text("/proc/sys/kernel/perf_event_paranoid") {
        Reading::Value(level) => match level.parse::<i64>() {
            Ok(level) if level <= 1 => (Status::Ok, level.to_string()),
            Ok(level) => (Status::Limited, level.to_string()),
            Err(_) => (Status::Unknown, format!("{level} is no number")),
        },
        ref other => missing(other),
    };
    let ptrace = match host.number("/proc/sys/kernel/yama/ptrace_scope") {
        Reading::Value(0) => (Status::Ok, "0, one's own processes".to_owned()),
        Reading::Value(1) => (Status::Limited, "1, one's own children".to_owned()),
        Reading::Value(2) => (Status::Limited, "2, administrators only".to_owned()),
        Reading::Value(level) => (Status::Denied, format!("{level}, nobody")),
        // A kernel without Yama restricts nothing.
        ref other if missing(other).0 == Status::Missing => {
            (Status::Ok, "no Yama: one's own processes".to_owned())
        }
        ref other => missing(other),
    };
    let flags = result(&File::open("/proc/kpageflags").and_then(|mut file| {
        let mut word = [0; 8];
        io::Read::read_exact(&mut file, &mut word)
    }));
    let pressure = match fs::read("/proc/pressure/memory") {
        Ok(_) => (Status::Ok, "readable".to_owned()),
        Err(error) => result(&Err(error)),
    };
    [
        ("/proc/kpageflags", flags, "run neap as root (CAP_SYS_ADMIN)"),
        (
            "kernel.perf_event_paranoid",
            paranoid,
            "sysctl kernel.perf_event_paranoid=1",
        ),
        ("yama.ptrace_scope", ptrace, "sysctl kernel.yama.ptrace_scope=0"),
        (
            "memory pressure (PSI)",
            pressure,
            "boot a kernel that has it with psi=1",
        ),
    ]
    .into_iter()
    .map(|(name, (status, found), mend)| Check::optional(name, status, found).costs(NOTHING, mend))
    .collect()
}
