//! The machine's huge pages.

use crate::error::{Error, Feature, Kind};
use crate::operation::Operation;
use neap_os::unit::{Bytes, HugePage};
use std::fs;

/// The size that the kernel takes when none is named: Hugepagesize in /proc/meminfo.
pub(crate) fn default_size() -> Result<HugePage, Error> {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = info
        .lines()
        .find_map(|line| line.strip_prefix("Hugepagesize:")?.trim().strip_suffix("kB"));
    kib.and_then(|kib| kib.trim().parse::<usize>().ok())
        .and_then(|kib| HugePage::of(Bytes(kib * 1024)))
        .ok_or(Error::found(
            Operation::Map,
            Kind::Unsupported(Feature::HugePages),
        ))
}

/// The sizes of the machine's hugetlb pools: the folders of /sys/kernel/mm/hugepages. Empty where the kernel
/// has no hugetlb.
#[must_use]
pub fn sizes() -> Vec<HugePage> {
    let Ok(folders) = fs::read_dir("/sys/kernel/mm/hugepages") else {
        return Vec::new();
    };
    let mut sizes: Vec<usize> = folders
        .filter_map(|folder| {
            let name = folder.ok()?.file_name().into_string().ok()?;
            name.strip_prefix("hugepages-")?
                .strip_suffix("kB")?
                .parse::<usize>()
                .ok()
        })
        .collect();
    sizes.sort_unstable();
    sizes
        .into_iter()
        .filter_map(|kib| HugePage::of(Bytes(kib * 1024)))
        .collect()
}
