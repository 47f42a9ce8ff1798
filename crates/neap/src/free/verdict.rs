//! The survey in sentences: what can be had, who holds the rest, and what bounds this process first.

use super::Survey;
use super::machine::Stall;
use crate::unit;

/// Holders named in a sentence.
const NAMED: usize = 4;

pub(super) fn of(survey: &Survey) -> Vec<String> {
    [
        available(survey),
        holders(survey),
        group(survey),
        swap(survey),
        waits(survey),
        commit(survey),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn available(survey: &Survey) -> Option<String> {
    let memory = &survey.memory;
    let (total, free) = (memory.total_bytes?, memory.free_bytes?);
    let Some(available) = memory.available_bytes else {
        return Some(format!(
            "{} of {} are free; how much more can be had this kernel does not say (MemAvailable: Linux 3.14).",
            unit::size(free),
            unit::size(total)
        ));
    };
    let share = unit::percent(unit::to_f64(available) / unit::to_f64(total.max(1)));
    // MemAvailable leaves out a reserve of free memory, so it can be less than what is free.
    let rest = match available.checked_sub(free) {
        Some(more) if more > 0 => format!(
            "{} are free, {} more the kernel takes back from caches when it is wanted",
            unit::size(free),
            unit::size(more)
        ),
        _ => format!(
            "{} are free, of which the kernel keeps a reserve",
            unit::size(free)
        ),
    };
    Some(format!(
        "{} of {} ({share}) are available: {rest}.",
        unit::size(available),
        unit::size(total)
    ))
}

fn holders(survey: &Survey) -> Option<String> {
    let balance = survey.balance.as_ref()?;
    let holders = balance.holders();
    let named: Vec<String> = holders
        .iter()
        .take(NAMED)
        .map(|part| format!("{} ({})", part.name, unit::size(part.bytes)))
        .collect();
    let residual = match balance.residual_bytes {
        bytes if bytes >= 0 => format!(
            "{} are in no line of /proc/meminfo",
            unit::size(bytes.unsigned_abs())
        ),
        bytes => format!(
            "{} are counted in more than one line",
            unit::size(bytes.unsigned_abs())
        ),
    };
    if named.is_empty() {
        return Some(format!("Nothing is held for good; {residual}."));
    }
    Some(format!(
        "The most of the rest is held by {}; {residual}.",
        named.join(", ")
    ))
}

fn group(survey: &Survey) -> Option<String> {
    let groups = survey.cgroup.as_ref()?;
    let level = groups.levels.get(groups.tightest?)?;
    let (room, limit) = (level.room_bytes?, level.limit_bytes?);
    let available = survey.memory.available_bytes.unwrap_or(u64::MAX);
    if limit >= survey.memory.total_bytes.unwrap_or(u64::MAX) || room >= available {
        return None;
    }
    let kills = match level.oom_kills {
        Some(kills) if kills > 0 => format!("; it has killed {} of its processes", unit::count(kills)),
        _ => String::new(),
    };
    Some(format!(
        "This process meets the limit of its control group {} first: {} of {} are left, caches of the group \
         come back when they are wanted{kills}.",
        level.path,
        unit::size(room),
        unit::size(limit)
    ))
}

fn swap(survey: &Survey) -> Option<String> {
    let (total, used) = (survey.swap.total_bytes?, survey.swap.used_bytes?);
    if total == 0 {
        return Some("There is no swap: memory of programs stays until they end.".to_owned());
    }
    Some(format!(
        "{} of {} of swap are used.",
        unit::size(used),
        unit::size(total)
    ))
}

fn waits(survey: &Survey) -> Option<String> {
    let memory = survey.pressure.memory.as_ref()?;
    let some = memory.some.as_ref()?;
    let share = |stall: &Stall| stall.last_60_seconds_percent;
    if share(some) < 0.01 {
        return None;
    }
    let full = memory.full.as_ref().map_or(0.0, share);
    Some(format!(
        "In the last minute tasks waited for memory {:.2} % of the time, all of them at once {full:.2} %.",
        share(some)
    ))
}

fn commit(survey: &Survey) -> Option<String> {
    let commit = &survey.commit;
    let (limit, committed) = (commit.limit_bytes?, commit.committed_bytes?);
    (commit.overcommit_mode? == 2).then(|| match limit.checked_sub(committed) {
        Some(left) => format!(
            "vm.overcommit_memory is 2: programs may ask for {} more, then they are refused.",
            unit::size(left)
        ),
        None => {
            "vm.overcommit_memory is 2, and more is promised than the limit allows: requests are refused."
                .to_owned()
        }
    })
}
