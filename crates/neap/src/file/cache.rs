//! How much of a file is in the page cache.
//!
//! cachestat(2) tells it in pages, with what is dirty; before Linux 6.5 mincore(2) does, without. Both keep
//! it to themselves for a file that one neither owns nor may write: mincore says that everything is
//! resident then, and cachestat refuses (6.14). That is [`Told::Nothing`], never a number. Each answer is
//! history by the time it is read. No more than a window of a file is mapped at a time.

use std::fs::File;
use std::ops::Range;

use neap_map::{CacheStat, FileMap, Kind};
use serde::Serialize;

/// Bytes that are mapped at a time where the kernel has no cachestat: mincore writes a byte for each page.
const WINDOW_BYTES: u64 = 1 << 30;
/// Why there are no dirty pages.
pub(crate) const NO_CACHESTAT: &str = "cachestat needs Linux 6.5";
/// Why there is nothing.
pub(crate) const NOT_OWNER: &str = "the kernel tells only who owns the file or may write it";

/// Pages of one file, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Count {
    /// Pages there are.
    pub(crate) pages: u64,
    /// In the cache.
    pub(crate) resident: u64,
    /// `None` where mincore was asked.
    pub(crate) more: Option<More>,
}

/// What only cachestat tells, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct More {
    pub(crate) dirty: u64,
    pub(crate) writeback: u64,
    pub(crate) evicted: u64,
    pub(crate) recently_evicted: u64,
}

impl Count {
    /// Both together. What one of them lacks the sum lacks.
    pub(crate) fn and(self, other: Count) -> Count {
        let more = self.more.zip(other.more).map(|(one, two)| More {
            dirty: one.dirty + two.dirty,
            writeback: one.writeback + two.writeback,
            evicted: one.evicted + two.evicted,
            recently_evicted: one.recently_evicted + two.recently_evicted,
        });
        Count {
            pages: self.pages + other.pages,
            resident: self.resident + other.resident,
            more,
        }
    }

    /// Nothing at all, to add to.
    pub(crate) fn none() -> Count {
        Count {
            more: Some(More::default()),
            ..Count::default()
        }
    }
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Count(Count),
    /// Why the kernel told nothing.
    Nothing(String),
}

impl Told {
    pub(crate) fn count(&self) -> Option<Count> {
        match self {
            Told::Count(count) => Some(*count),
            Told::Nothing(_) => None,
        }
    }
}

/// Asks the best source about whole pages of `file`.
pub(crate) fn count(file: &File, pages: &Range<u64>, page_bytes: u64) -> Told {
    if pages.is_empty() {
        return Told::Count(Count::none());
    }
    match by_cachestat(file, pages, page_bytes) {
        Ok(count) => Told::Count(count),
        Err(Kind::Unsupported(_)) => by_mincore(file, pages, page_bytes),
        Err(Kind::AccessDenied) => Told::Nothing(NOT_OWNER.to_owned()),
        Err(kind) => Told::Nothing(format!("cachestat: {kind:?}")),
    }
}

fn by_cachestat(file: &File, pages: &Range<u64>, page_bytes: u64) -> Result<Count, Kind> {
    let stat = CacheStat::of(file, pages.clone()).map_err(|error| error.kind())?;
    let whole = (pages.end - pages.start) / page_bytes;
    Ok(Count {
        pages: whole,
        resident: stat.cached() / page_bytes,
        more: Some(More {
            dirty: stat.dirty() / page_bytes,
            writeback: stat.writeback() / page_bytes,
            evicted: stat.evicted() / page_bytes,
            recently_evicted: stat.recently_evicted() / page_bytes,
        }),
    })
}

fn by_mincore(file: &File, pages: &Range<u64>, page_bytes: u64) -> Told {
    let mut resident = 0;
    let mut start = pages.start;
    while start < pages.end {
        let end = pages.end.min(start + WINDOW_BYTES);
        let residency = FileMap::of(file)
            .range(start..end)
            .map()
            .and_then(|map| map.residency(..));
        match residency.map(|residency| residency.resident()) {
            Ok(Some(pages)) => resident += pages as u64,
            Ok(None) => return Told::Nothing(NOT_OWNER.to_owned()),
            Err(error) => return Told::Nothing(format!("mincore: {error}")),
        }
        start = end;
    }
    Told::Count(Count {
        pages: (pages.end - pages.start) / page_bytes,
        resident,
        more: None,
    })
}

/// The file's pages in `cells` stretches of nearly the same length, each with its share in memory, 0 to 1.
/// `None` where the kernel does not tell.
pub(crate) fn cells(file: &File, pages: &Range<u64>, page_bytes: u64, cells: u64) -> Option<Vec<f64>> {
    let whole = (pages.end - pages.start) / page_bytes;
    let cells = cells.min(whole);
    let edge = |cell: u64| {
        let page = u128::from(whole) * u128::from(cell) / u128::from(cells.max(1));
        pages.start + u64::try_from(page).unwrap_or(whole) * page_bytes
    };
    let share = |cell| {
        let count = count(file, &(edge(cell)..edge(cell + 1)), page_bytes).count()?;
        Some(crate::unit::to_f64(count.resident) / crate::unit::to_f64(count.pages.max(1)))
    };
    (0..cells).map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn page() -> u64 {
        rustix::param::page_size() as u64
    }

    #[test]
    fn both_sources_agree_on_what_is_resident() {
        let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        file.write_all(&vec![1; 64 * page() as usize]).unwrap();
        file.sync_all().unwrap();
        let all = 0..64 * page();
        let Told::Count(mincore) = by_mincore(&file, &all, page()) else {
            panic!("mincore tells an owner")
        };
        assert_eq!((mincore.pages, mincore.resident, mincore.more), (64, 64, None));
        match by_cachestat(&file, &all, page()) {
            Ok(count) => assert_eq!((count.pages, count.resident), (64, 64)),
            Err(kind) => assert!(matches!(kind, Kind::Unsupported(_)), "{kind:?}"),
        }
    }

    #[test]
    fn cells_are_never_more_than_pages() {
        let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        file.write_all(&vec![1; 3 * page() as usize]).unwrap();
        let shares = cells(&file, &(0..3 * page()), page(), 60).unwrap();
        assert_eq!(shares, [1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_sum_lacks_what_one_lacks() {
        let all = Count {
            pages: 2,
            resident: 1,
            more: Some(More {
                dirty: 1,
                ..More::default()
            }),
        };
        let part = Count {
            pages: 3,
            resident: 3,
            more: None,
        };
        assert_eq!(Count::none().and(all), all);
        assert_eq!(
            all.and(part),
            Count {
                pages: 5,
                resident: 4,
                more: None
            }
        );
    }
}
