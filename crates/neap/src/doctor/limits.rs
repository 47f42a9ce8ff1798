//! Limits that a program under libneap.so may feel.

use neap_proc::parse::{Bound, GroupVersion, Limit};
use neap_proc::read::{Host, Proc};
use neap_proc::{Reading, Reason};

use super::{Check, Group, Status};
use crate::unit;

/// Mappings that a process may have by default: below, a large heap may run into it.
const MAP_COUNT: u64 = 65530;
/// Threads below which a helper may find no room.
const PROCESSES: u64 = 64;

pub(super) fn group() -> Group {
    let own = std::process::id();
    let limits = Proc::default().limits(own);
    let row = |pick: fn(&neap_proc::parse::Limits) -> Option<Limit>| -> Reading<Limit> {
        match &limits {
            Reading::Value(limits) => pick(limits).into(),
            Reading::Denied => Reading::Denied,
            Reading::Absent(reason) => Reading::Absent(*reason),
        }
    };
    let host = Host::default();
    let mut checks = vec![
        size("RLIMIT_AS", row(|limits| limits.address_space)).costs(
            "malloc fails when the address space is used up; neap reserves none ahead",
            "ulimit -v unlimited",
        ),
        size("RLIMIT_DATA", row(|limits| limits.data)).costs(
            "malloc fails when that much private memory is mapped",
            "ulimit -d unlimited",
        ),
        locked(row(|limits| limits.locked)),
        processes(row(|limits| limits.processes)),
        overcommit(&host),
        map_count(&host, own),
    ];
    checks.extend(group_of_control(&host));
    Group {
        name: "limits",
        checks,
    }
}

/// What a reading without a value is.
pub(super) fn missing<T>(reading: &Reading<T>) -> (Status, String) {
    let reason = reading.reason().unwrap_or_default();
    match reading {
        Reading::Value(_) => (Status::Unknown, reason),
        Reading::Denied => (Status::Denied, reason),
        Reading::Absent(Reason::NotInThisKernel) => (Status::Missing, reason),
        Reading::Absent(_) => (Status::Unknown, reason),
    }
}

fn size(name: &'static str, reading: Reading<Limit>) -> Check {
    let (status, found) = match reading {
        Reading::Value(Limit {
            soft: Bound::Unlimited,
            ..
        }) => (Status::Ok, "unlimited".to_owned()),
        Reading::Value(Limit {
            soft: Bound::At(bytes),
            ..
        }) => (Status::Limited, unit::size(bytes)),
        ref other => missing(other),
    };
    Check::optional(name, status, found)
}

fn locked(reading: Reading<Limit>) -> Check {
    let (status, found) = match reading {
        Reading::Value(Limit {
            soft: Bound::Unlimited,
            ..
        }) => (Status::Ok, "unlimited".to_owned()),
        Reading::Value(Limit {
            soft: Bound::At(0), ..
        }) => (Status::Limited, "0".to_owned()),
        Reading::Value(Limit {
            soft: Bound::At(bytes),
            ..
        }) => (Status::Ok, unit::size(bytes)),
        ref other => missing(other),
    };
    Check::optional("RLIMIT_MEMLOCK", status, found).costs(
        "programs that lock their memory (mlock, mlockall) fail; neap locks none",
        "ulimit -l unlimited",
    )
}

fn processes(reading: Reading<Limit>) -> Check {
    let (status, found) = match reading {
        Reading::Value(Limit {
            soft: Bound::Unlimited,
            ..
        }) => (Status::Ok, "unlimited".to_owned()),
        Reading::Value(Limit {
            soft: Bound::At(count),
            ..
        }) if count < PROCESSES => (Status::Limited, unit::count(count)),
        Reading::Value(Limit {
            soft: Bound::At(count),
            ..
        }) => (Status::Ok, unit::count(count)),
        ref other => missing(other),
    };
    Check::optional("RLIMIT_NPROC", status, found).costs(
        "the helper thread may find no room: an idle program then gives nothing back",
        "ulimit -u with a greater number",
    )
}

fn overcommit(host: &Host) -> Check {
    let (status, found) = match host.number("/proc/sys/vm/overcommit_memory") {
        Reading::Value(0) => (Status::Ok, "0, heuristic".to_owned()),
        Reading::Value(1) => (Status::Ok, "1, always".to_owned()),
        Reading::Value(2) => (Status::Limited, "2, never".to_owned()),
        Reading::Value(other) => (Status::Unknown, format!("{other} is no mode of proc(5)")),
        ref other => missing(other),
    };
    Check::optional("vm.overcommit_memory", status, found).costs(
        "malloc fails when all memory is promised, used or not",
        "sysctl vm.overcommit_memory=0, or raise vm.overcommit_ratio",
    )
}

fn map_count(host: &Host, own: u32) -> Check {
    let used = Proc::default().maps(own).map(|maps| maps.mappings.len());
    let (status, found) = match host.number("/proc/sys/vm/max_map_count") {
        Reading::Value(count) => {
            let status = if count < MAP_COUNT {
                Status::Limited
            } else {
                Status::Ok
            };
            let used = used
                .value()
                .map_or_else(String::new, |used| format!(", this process has {used}"));
            (status, format!("{}{used}", unit::count(count)))
        }
        ref other => missing(other),
    };
    Check::optional("vm.max_map_count", status, found).costs(
        "a heap with many large blocks runs out of mappings, and malloc fails",
        "sysctl vm.max_map_count=65530 or more",
    )
}

/// A limit of the control group is how a container is killed.
fn group_of_control(host: &Host) -> Vec<Check> {
    let memory = host.memory_group();
    let bound = |name: &'static str, reading: Reading<Bound>| {
        let (status, found) = match reading {
            Reading::Value(Bound::Unlimited) => (Status::Ok, "unlimited".to_owned()),
            // Version 1 writes the greatest multiple of a page that fits.
            Reading::Value(Bound::At(bytes)) if bytes > 1 << 62 => (Status::Ok, "unlimited".to_owned()),
            Reading::Value(Bound::At(bytes)) => (Status::Limited, unit::size(bytes)),
            ref other => missing(other),
        };
        Check::optional(name, status, found)
    };
    match memory {
        Reading::Value(memory) => vec![bound("cgroup memory limit", memory.limit).costs(
            "the kernel kills when all processes of the group pass it together",
            "memory.max of the group (docker run --memory, systemd MemoryMax=)",
        )]
        .into_iter()
        .chain((memory.group.version == GroupVersion::V2).then(|| {
            bound("cgroup memory.high", memory.high).costs(
                "the kernel slows the group down above it",
                "memory.high of the group (systemd MemoryHigh=)",
            )
        }))
        .collect(),
        ref other => {
            let (status, found) = missing(other);
            let check = Check::optional("cgroup memory limit", status, found);
            vec![check.costs(
                "whether a container has a limit is not seen",
                "mount the control groups at /sys/fs/cgroup",
            )]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(soft: Bound) -> Reading<Limit> {
        Reading::Value(Limit {
            soft,
            hard: Bound::Unlimited,
        })
    }

    #[test]
    fn a_limit_is_limited_and_never_ok() {
        assert_eq!(size("x", limit(Bound::Unlimited)).status, Status::Ok);
        let check = size("x", limit(Bound::At(1 << 30)));
        assert_eq!(
            (check.status, check.found.as_str()),
            (Status::Limited, "1.00 GiB")
        );
        assert_eq!(locked(limit(Bound::At(0))).status, Status::Limited);
        assert_eq!(processes(limit(Bound::At(5))).status, Status::Limited);
        assert_eq!(processes(limit(Bound::At(5000))).status, Status::Ok);
    }

    #[test]
    fn what_could_not_be_read_is_told_apart() {
        assert_eq!(size("x", Reading::Denied).status, Status::Denied);
        assert_eq!(
            size("x", Reading::Absent(Reason::NotInThisKernel)).status,
            Status::Missing
        );
        assert_eq!(
            size("x", Reading::Absent(Reason::Malformed)).status,
            Status::Unknown
        );
    }
}
