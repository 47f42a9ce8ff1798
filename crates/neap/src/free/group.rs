//! The control group of this process, and those around it up to the tightest limit.

use neap_proc::parse::GroupVersion;
use neap_proc::read::{GroupLevel, Host};
use serde::Serialize;

use super::gather::Gather;

const NOT_IN_1: &str = "not in groups of version 1";

/// The groups, this process's own first.
#[derive(Debug, Serialize)]
pub(crate) struct Groups {
    pub(crate) version: u8,
    pub(crate) levels: Vec<Level>,
    /// The place in `levels` of the one with the least room; none where no level has a limit.
    pub(crate) tightest: Option<usize>,
    /// What this process's own group holds.
    pub(crate) holds: Holds,
}

/// One group.
#[derive(Debug, Serialize)]
pub(crate) struct Level {
    pub(crate) path: String,
    pub(crate) used_bytes: Option<u64>,
    pub(crate) limit_bytes: Option<u64>,
    /// Below the limit.
    pub(crate) room_bytes: Option<u64>,
    pub(crate) high_bytes: Option<u64>,
    pub(crate) low_bytes: Option<u64>,
    pub(crate) swap_used_bytes: Option<u64>,
    /// Of version 1: memory and swap together.
    pub(crate) swap_limit_bytes: Option<u64>,
    pub(crate) high_events: Option<u64>,
    pub(crate) limit_events: Option<u64>,
    pub(crate) oom_events: Option<u64>,
    pub(crate) oom_kills: Option<u64>,
}

/// memory.stat, of the group and those below it.
#[derive(Debug, Serialize)]
pub(crate) struct Holds {
    pub(crate) anonymous_bytes: Option<u64>,
    pub(crate) file_bytes: Option<u64>,
    pub(crate) shmem_bytes: Option<u64>,
    pub(crate) kernel_bytes: Option<u64>,
    pub(crate) slab_bytes: Option<u64>,
    pub(crate) dirty_bytes: Option<u64>,
    pub(crate) peak_bytes: Option<u64>,
}

pub(super) fn groups(host: &Host, gather: &mut Gather) -> Option<Groups> {
    let levels = gather.take("cgroup", host.groups())?;
    let version = levels.first()?.version;
    let tightest = (0..levels.len())
        .filter_map(|index| Some((levels.get(index)?.room_bytes()?, index)))
        .min()
        .map(|(_, index)| index);
    if tightest.is_none() {
        gather.miss("cgroup.tightest", "no level has a limit");
    }
    Some(Groups {
        version: match version {
            GroupVersion::V1 => 1,
            GroupVersion::V2 => 2,
        },
        levels: levels
            .into_iter()
            .enumerate()
            .map(|(index, level)| of_level(level, index, gather))
            .collect(),
        tightest,
        holds: holds(host, version, gather),
    })
}

fn of_level(level: GroupLevel, index: usize, gather: &mut Gather) -> Level {
    let path = |field: &str| format!("cgroup.levels[{index}].{field}");
    let is_1 = level.version == GroupVersion::V1;
    let room_bytes = level.room_bytes();
    if room_bytes.is_none() {
        gather.miss(&path("room_bytes"), "no limit, or a figure is missing");
    }
    let mut event = |field: &str, name: &str| gather.counter(&path(field), &level.events, name);
    let oom_kills = event("oom_kills", "oom_kill");
    let (high_events, limit_events, oom_events) = match level.version {
        GroupVersion::V2 => (
            event("high_events", "high"),
            event("limit_events", "max"),
            event("oom_events", "oom"),
        ),
        GroupVersion::V1 => {
            for field in ["high_events", "oom_events"] {
                gather.miss(&path(field), NOT_IN_1);
            }
            (None, gather.take(&path("limit_events"), level.limit_hits), None)
        }
    };
    let level = Level {
        room_bytes,
        high_events,
        limit_events,
        oom_events,
        oom_kills,
        used_bytes: gather.take(&path("used_bytes"), level.used_bytes),
        limit_bytes: gather.bound(&path("limit_bytes"), level.limit),
        high_bytes: gather.bound(&path("high_bytes"), level.high),
        low_bytes: gather.bound(&path("low_bytes"), level.low),
        swap_used_bytes: gather.take(&path("swap_used_bytes"), level.swap_used_bytes),
        swap_limit_bytes: gather.bound(&path("swap_limit_bytes"), level.swap_limit),
        path: level.path,
    };
    if is_1 {
        for field in ["high_bytes", "low_bytes"] {
            gather.miss(&path(field), NOT_IN_1);
        }
    }
    level
}

fn holds(host: &Host, version: GroupVersion, gather: &mut Gather) -> Holds {
    let used = host.group_use();
    let stat = match &used {
        neap_proc::Reading::Value(used) => used.stat.clone(),
        neap_proc::Reading::Denied => neap_proc::Reading::Denied,
        neap_proc::Reading::Absent(reason) => neap_proc::Reading::Absent(*reason),
    };
    // Version 1 calls them otherwise, and sums up what is below in lines of their own.
    let names = match version {
        GroupVersion::V2 => ["anon", "file", "shmem", "kernel", "slab", "file_dirty"],
        GroupVersion::V1 => ["total_rss", "total_cache", "total_shmem", "", "", "total_dirty"],
    };
    let fields = [
        "anonymous_bytes",
        "file_bytes",
        "shmem_bytes",
        "kernel_bytes",
        "slab_bytes",
        "dirty_bytes",
    ];
    let [
        anonymous_bytes,
        file_bytes,
        shmem_bytes,
        kernel_bytes,
        slab_bytes,
        dirty_bytes,
    ] = std::array::from_fn(|at| gather.counter(&format!("cgroup.holds.{}", fields[at]), &stat, names[at]));
    if version == GroupVersion::V1 {
        for field in ["kernel_bytes", "slab_bytes"] {
            gather.miss(&format!("cgroup.holds.{field}"), NOT_IN_1);
        }
    }
    Holds {
        anonymous_bytes,
        file_bytes,
        shmem_bytes,
        kernel_bytes,
        slab_bytes,
        dirty_bytes,
        peak_bytes: gather.take("cgroup.holds.peak_bytes", used.and_then(|used| used.peak_bytes)),
    }
}
