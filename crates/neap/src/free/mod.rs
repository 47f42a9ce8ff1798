//! `neap free`: where the memory of this machine is, and how much of it can be had.
//!
//! [`procps`] has the numbers of free(1); [`balance`] divides MemTotal into parts that add up; [`machine`],
//! [`group`], [`huge`] and [`nodes`] look further; [`verdict`] says it in sentences. [`survey`] reads every
//! file once, one after the other: between two of them the machine goes on, so figures of different files
//! need not agree to the page. Nothing is written, and nothing is computed from a figure that is missing.

use std::collections::BTreeMap;

use neap_proc::Reading;
use neap_proc::read::Host;
use serde::Serialize;

use crate::failure::Failure;

pub(crate) mod balance;
pub(crate) mod gather;
pub(crate) mod group;
pub(crate) mod huge;
pub(crate) mod machine;
pub(crate) mod nodes;
pub(crate) mod procps;
mod verdict;

use balance::Balance;
use gather::Gather;

/// Changes when a field changes its meaning or goes away; new fields do not change it.
pub(crate) const SCHEMA: &str = "neap.free/1";

/// All that was seen.
#[derive(Debug, Serialize)]
pub(crate) struct Survey {
    pub(crate) schema: &'static str,
    pub(crate) neap_version: &'static str,
    pub(crate) verdict: Vec<String>,
    pub(crate) page_bytes: u64,
    pub(crate) memory: Columns,
    /// `None` without MemTotal.
    pub(crate) balance: Option<Balance>,
    pub(crate) commit: machine::Commit,
    pub(crate) pressure: machine::Pressures,
    pub(crate) cgroup: Option<group::Groups>,
    pub(crate) swap: machine::SwapUse,
    pub(crate) ksm: Option<machine::KsmUse>,
    pub(crate) thp: Option<huge::Transparent>,
    pub(crate) hugetlb: Option<Vec<huge::Pool>>,
    pub(crate) numa: nodes::Places,
    /// Path of a field that is null: why.
    pub(crate) not_available: BTreeMap<String, String>,
}

/// The columns of free(1), in bytes, and what of the cache waits to be written.
#[derive(Debug, Serialize)]
pub(crate) struct Columns {
    pub(crate) total_bytes: Option<u64>,
    pub(crate) used_bytes: Option<u64>,
    pub(crate) free_bytes: Option<u64>,
    pub(crate) shared_bytes: Option<u64>,
    pub(crate) cache_bytes: Option<u64>,
    pub(crate) available_bytes: Option<u64>,
    pub(crate) dirty_bytes: Option<u64>,
    pub(crate) writeback_bytes: Option<u64>,
    pub(crate) locked_bytes: Option<u64>,
}

/// Reads everything.
///
/// # Errors
/// There is no /proc/meminfo, without which nothing is known.
pub(crate) fn survey(host: &Host, page_bytes: u64) -> Result<Survey, Failure> {
    let info = match host.meminfo() {
        Reading::Value(info) => info,
        missing => {
            let path = host.path("/proc/meminfo");
            return Err(Failure::own(
                path.display(),
                format!("{}; mount /proc there", missing.reason().unwrap_or_default()),
            ));
        }
    };
    let mut gather = Gather::default();
    let mut column = |field: &str, value: Option<u64>| gather.take(&format!("memory.{field}"), value.into());
    let memory = Columns {
        total_bytes: column("total_bytes", info.total_bytes),
        used_bytes: column("used_bytes", info.used_bytes()),
        free_bytes: column("free_bytes", info.free_bytes),
        shared_bytes: column("shared_bytes", info.shmem_bytes),
        cache_bytes: column("cache_bytes", info.cache_bytes()),
        available_bytes: column("available_bytes", info.available_bytes),
        dirty_bytes: column("dirty_bytes", info.dirty_bytes),
        writeback_bytes: column("writeback_bytes", info.writeback_bytes),
        locked_bytes: column("locked_bytes", info.mlocked_bytes),
    };
    let balance = Balance::of(&info, host.vmstat().as_value(), page_bytes);
    if balance.is_none() {
        gather.miss("balance", "/proc/meminfo has no MemTotal");
    }
    let huge_bytes = info.huge_page_size_bytes.unwrap_or(page_bytes * 512);
    let mut survey = Survey {
        schema: SCHEMA,
        neap_version: env!("CARGO_PKG_VERSION"),
        verdict: Vec::new(),
        page_bytes,
        memory,
        balance,
        commit: machine::commit(host, &info, &mut gather),
        pressure: machine::pressures(host, &mut gather),
        cgroup: group::groups(host, &mut gather),
        swap: machine::swap(host, &info, &mut gather),
        ksm: machine::ksm(host, page_bytes, &mut gather),
        thp: huge::transparent(host, &info, &mut gather),
        hugetlb: huge::pools(host, &mut gather),
        numa: nodes::places(host, page_bytes, huge_bytes, &mut gather),
        not_available: gather.reasons,
    };
    survey.verdict = verdict::of(&survey);
    Ok(survey)
}
