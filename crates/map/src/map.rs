//! [`Map`]: a mapping, and what its bytes may be taken for.
//!
//! Owns the calls that every map has; those of one view are in the view's own module. A map unmaps itself
//! when it is dropped; [`Map::unmap`] does it with the kernel's answer. Send and Sync: the kernel's calls are
//! atomic, and the views lend nothing that threads could misuse.

use crate::area::{Area, PageRange};
use crate::error::{Error, Refused};
use crate::operation::Operation;
use crate::view::View;
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeBounds;

/// A mapping of this process, seen as `V` says: see the types in [`crate::view`].
///
/// ```
/// use neap_map::Anon;
/// let mut map = Anon::private(10_000).map()?;
/// map[9_999] = 7;
/// assert_eq!((map.len(), map[0], map[9_999]), (10_000, 0, 7));
/// map.unmap()?;
/// # Ok::<(), neap_map::Error>(())
/// ```
pub struct Map<V: View> {
    area: Area,
    view: PhantomData<V>,
}

/// Two maps.
pub type Pair<V> = (Map<V>, Map<V>);

impl<V: View> Map<V> {
    /// A map of `area`. The caller has proved that `V` says the truth about its bytes.
    pub(crate) const fn of(area: Area) -> Map<V> {
        Map {
            area,
            view: PhantomData,
        }
    }

    pub(crate) const fn area(&self) -> &Area {
        &self.area
    }

    pub(crate) const fn area_mut(&mut self) -> &mut Area {
        &mut self.area
    }

    pub(crate) fn into_area(self) -> Area {
        self.area
    }

    /// The same bytes under another view, which the caller has proved.
    pub(crate) fn viewed<W: View>(self) -> Map<W> {
        Map::of(self.area)
    }

    /// Length in bytes: what was asked for, not rounded.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.area.len()
    }

    /// Whether it has no byte. An empty map has no pages, and every call on it succeeds.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.area.len() == 0
    }

    /// The kernel's page in this map, in bytes: larger than the machine's for huge pages.
    #[must_use]
    pub const fn page_size(&self) -> usize {
        self.area.page()
    }

    /// The address of the first byte. For an empty map, one that is aligned to a page and not to be read.
    /// What may be done with it is for the caller to argue: the views' rules are this type's only.
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.area.as_ptr()
    }

    /// As [`Map::as_ptr`].
    #[must_use]
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.area.as_ptr()
    }

    /// Unmaps, and says whether the kernel did: a drop cannot.
    ///
    /// # Errors
    /// [`crate::Kind::MapSealed`], [`crate::Kind::MapCountExhausted`]; the map is in the error then, as it was.
    pub fn unmap(self) -> Result<(), Refused<Map<V>>> {
        self.area
            .unmap()
            .map_err(|refused| Refused::new(refused.error(), Map::of(refused.into_inner())))
    }

    /// Cuts the map in two: `[0, at)` stays, the rest is returned. No byte moves.
    ///
    /// # Errors
    /// [`crate::Kind::OutOfRange`], [`crate::Kind::Unaligned`]: `at` does not lie on a page.
    pub fn split_off(&mut self, at: usize) -> Result<Map<V>, Error> {
        self.area.split_off(at).map(Map::of)
    }

    /// Joins two maps that lie side by side, such as a split made.
    ///
    /// # Errors
    /// [`crate::Kind::NotAdjacent`], with both maps.
    pub fn merge(self, next: Map<V>) -> Result<Map<V>, Refused<Pair<V>>> {
        self.area.merge(next.area).map(Map::of).map_err(|refused| {
            let error = refused.error();
            let (first, second) = refused.into_inner();
            Refused::new(error, (Map::of(first), Map::of(second)))
        })
    }

    /// Unmaps a part of whole pages. What lay before and behind it stays mapped, as two maps.
    ///
    /// # Errors
    /// [`crate::Kind::OutOfRange`], [`crate::Kind::Unaligned`], [`crate::Kind::MapSealed`],
    /// [`crate::Kind::MapCountExhausted`]; the whole map is in the error then.
    pub fn unmap_range(mut self, range: impl RangeBounds<usize>) -> Result<Pair<V>, Refused<Map<V>>> {
        let bytes = match self.area.bytes(Operation::Unmap, &range) {
            Ok(bytes) => bytes,
            Err(error) => return Err(Refused::new(error, self)),
        };
        let cut = |map: &mut Map<V>, at| map.area.split_off(at);
        let behind = match cut(&mut self, bytes.end) {
            Ok(behind) => behind,
            Err(error) => return Err(Refused::new(error, self)),
        };
        let restore = |first: Map<V>, rest: Area| {
            first.area.merge(rest).map(Map::of).unwrap_or_else(|refused| {
                unreachable!("parts of one map lie side by side: {}", refused.error())
            })
        };
        let middle = match cut(&mut self, bytes.start) {
            Ok(middle) => middle,
            Err(error) => return Err(Refused::new(error, restore(self, behind))),
        };
        match middle.unmap() {
            Ok(()) => Ok((self, Map::of(behind))),
            Err(refused) => {
                let error = refused.error();
                let front = restore(self, refused.into_inner());
                Err(Refused::new(error, restore(front, behind)))
            }
        }
    }

    /// The pages that hold a byte of `range`.
    pub(crate) fn covering(
        &self,
        operation: Operation,
        range: &impl RangeBounds<usize>,
    ) -> Result<PageRange, Error> {
        self.area.covering(operation, range)
    }
}

impl<V: View> fmt::Debug for Map<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = std::any::type_name::<V>().rsplit("::").next().unwrap_or_default();
        write!(f, "Map<{view}>({} bytes at {:p})", self.len(), self.as_ptr())
    }
}

#[cfg(test)]
mod tests;
