//! What is added up over mappings: one row of a table.

use neap_proc::model::Total;
use neap_proc::parse::{Sizes, SmapsField};
use serde::Serialize;

use crate::report::Figure;

/// Why a line of smaps is not there.
pub(crate) const NOT_WRITTEN: &str = "this kernel does not write the line";

/// Lines of smaps that count pages the page table maps as one huge page, or that are of hugetlbfs.
const HUGE: [SmapsField; 5] = [
    SmapsField::AnonHugePages,
    SmapsField::ShmemPmdMapped,
    SmapsField::FilePmdMapped,
    SmapsField::SharedHugetlb,
    SmapsField::PrivateHugetlb,
];

/// Sums of some mappings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Sums {
    pub(crate) mappings: u64,
    pub(crate) size_bytes: u64,
    pub(crate) rss_bytes: Figure,
    pub(crate) pss_bytes: Figure,
    pub(crate) private_dirty_bytes: Figure,
    pub(crate) swap_bytes: Figure,
    /// Transparent huge pages and hugetlbfs. The latter are not in RSS.
    pub(crate) huge_bytes: Figure,
}

impl Sums {
    /// Of a total of the model.
    pub(crate) fn of(total: &Total) -> Sums {
        let sizes = &total.sizes;
        // No mapping has no line: their sum is 0.
        let figure = |bytes: Option<u64>| match bytes {
            Some(bytes) => Figure::Known(bytes),
            None if total.mappings == 0 => Figure::Known(0),
            None => Figure::Missing(NOT_WRITTEN.to_owned()),
        };
        Sums {
            mappings: total.mappings,
            size_bytes: total.len_bytes,
            rss_bytes: figure(sizes.get(SmapsField::Rss)),
            pss_bytes: figure(sizes.get(SmapsField::Pss)),
            private_dirty_bytes: figure(sizes.get(SmapsField::PrivateDirty)),
            swap_bytes: figure(sizes.get(SmapsField::Swap)),
            huge_bytes: figure(huge(sizes)),
        }
    }

    /// Both together. What one side lacks, the sum lacks.
    pub(crate) fn plus(&self, other: &Sums) -> Sums {
        let sum = |one: &Figure, two: &Figure| match (one.value(), two.value()) {
            (Some(one), Some(two)) => Figure::Known(one.saturating_add(two)),
            (None, _) => one.clone(),
            (_, None) => two.clone(),
        };
        Sums {
            mappings: self.mappings + other.mappings,
            size_bytes: self.size_bytes.saturating_add(other.size_bytes),
            rss_bytes: sum(&self.rss_bytes, &other.rss_bytes),
            pss_bytes: sum(&self.pss_bytes, &other.pss_bytes),
            private_dirty_bytes: sum(&self.private_dirty_bytes, &other.private_dirty_bytes),
            swap_bytes: sum(&self.swap_bytes, &other.swap_bytes),
            huge_bytes: sum(&self.huge_bytes, &other.huge_bytes),
        }
    }

    /// The figures that may be missing, by the names of their fields.
    pub(crate) fn figures(&self) -> [(&'static str, &Figure); 5] {
        [
            ("rss_bytes", &self.rss_bytes),
            ("pss_bytes", &self.pss_bytes),
            ("private_dirty_bytes", &self.private_dirty_bytes),
            ("swap_bytes", &self.swap_bytes),
            ("huge_bytes", &self.huge_bytes),
        ]
    }
}

/// Bytes in huge pages; `None` when the kernel writes none of the lines.
pub(super) fn huge(sizes: &Sizes) -> Option<u64> {
    let known = HUGE.into_iter().filter_map(|field| sizes.get(field));
    known.reduce(u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neap_proc::model::{Known, Space};
    use neap_proc::parse::Smaps;

    #[test]
    fn what_the_kernel_does_not_write_is_missing_and_no_mapping_is_nothing() {
        let smaps =
            Smaps::parse(b"1000-3000 rw-p 0 0:0 0\nRss: 8 kB\nAnonHugePages: 4 kB\nPrivate_Hugetlb: 4 kB\n");
        let sums = Sums::of(&Space::new(smaps, &Known::default()).total());
        assert_eq!((sums.mappings, sums.size_bytes), (1, 8192));
        assert_eq!(
            (sums.rss_bytes.value(), sums.huge_bytes.value()),
            (Some(8192), Some(8192))
        );
        assert_eq!(sums.pss_bytes.reason(), Some(NOT_WRITTEN));
        assert_eq!(Sums::of(&Total::default()).rss_bytes, Figure::Known(0));
    }
}
