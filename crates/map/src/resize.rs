//! Length and place: mremap.
//!
//! Growing and moving change addresses that slices point to, so every call takes `&mut self` or the map. The
//! kernel moves page tables, not bytes. Bytes that a map grows by are zeros, or for a file those that follow
//! in it; shared anonymous memory has no more than it was made with: what it grows by is
//! [`Kind::FileTooShort`](crate::Kind::FileTooShort). A map with guards has a fixed length and can
//! move. Works on one kernel mapping: a merge of different ones, or one of which only a part was locked or
//! advised, is [`Kind::Invalid`](crate::Kind::Invalid). Source: mremap(2).
#![allow(unsafe_code)]

use crate::error::{Error, Refused};
use crate::map::{Map, Pair};
use crate::view::{Owned, Reserved, View, Volatile, VolatileMut};
use neap_os::mapping::Move;

/// A view of which any length is as good as another.
pub trait Resizable: View {
    /// What to do about bytes `[from, to)` of the map's last page before it grew, which a shrink cut off.
    #[doc(hidden)]
    fn hide(_: &mut Map<Self>, _from: usize, _to: usize)
    where
        Self: Sized,
    {
    }
}

impl Resizable for Owned {
    fn hide(map: &mut Map<Owned>, from: usize, to: usize) {
        map[from..to].fill(0);
    }
}
impl Resizable for Volatile {}
impl Resizable for VolatileMut {}
impl Resizable for Reserved {}

impl<V: Resizable> Map<V> {
    /// Grows or shrinks where it is. Shrinking unmaps the pages behind.
    ///
    /// # Errors
    /// [`Kind::Occupied`](crate::Kind::Occupied): something is mapped behind it; the limits of memory;
    /// [`Kind::MemlockLimit`](crate::Kind::MemlockLimit) for a locked map,
    /// [`Kind::MapSealed`](crate::Kind::MapSealed), [`Kind::Invalid`](crate::Kind::Invalid) (see the module;
    /// to or from 0, huge pages). The map is as it was.
    ///
    /// ```
    /// let mut map = neap_map::Anon::private(1 << 20).map()?;
    /// map[0] = 1;
    /// map.resize(5000)?;
    /// map.resize(8000)?;
    /// assert_eq!((map.len(), map[0], map[7999]), (8000, 1, 0));
    /// # Ok::<(), neap_map::Error>(())
    /// ```
    pub fn resize(&mut self, len: usize) -> Result<(), Error> {
        self.resize_to(len, Move::Stay)
    }

    /// The same, and moves elsewhere if it cannot stay: every address may change.
    ///
    /// # Errors
    /// As [`Map::resize`], but never [`Kind::Occupied`](crate::Kind::Occupied).
    ///
    /// Slices of it are gone by then:
    /// ```compile_fail
    /// let mut map = neap_map::Anon::private(4096).map().unwrap();
    /// let slice = &map[..];
    /// map.resize_moving(1 << 30).unwrap();
    /// assert_eq!(slice[0], 0);
    /// ```
    pub fn resize_moving(&mut self, len: usize) -> Result<(), Error> {
        self.resize_to(len, Move::May)
    }

    fn resize_to(&mut self, len: usize, to: Move) -> Result<(), Error> {
        let before = self.len();
        // SAFETY: (1) the exclusive borrow: nothing borrows from the map; (2) the two callers above.
        unsafe { self.area_mut().resize(len, to)? };
        // A page that a shrink cut in two still holds what was behind the cut.
        let page_end = self.area().span().base() + before;
        let cut = page_end.next_multiple_of(self.page_size()) - page_end;
        if len > before && cut > 0 {
            V::hide(self, before, len.min(before + cut));
        }
        Ok(())
    }
}

/// A view whose bytes may leave their addresses.
pub trait Movable: View {}
impl Movable for Owned {}
impl Movable for Volatile {}
impl Movable for VolatileMut {}

impl<V: Movable> Map<V> {
    /// Moves the pages away to a map of their own; this one stays mapped where it is, as if nobody had
    /// touched it: zeros, or the file's bytes (`MREMAP_DONTUNMAP`, Linux 5.7 for private anonymous memory,
    /// 5.13 for the rest).
    ///
    /// # Errors
    /// [`Kind::Unsupported`](crate::Kind::Unsupported) before that kernel and for drivers' and huge pages;
    /// the limits of memory, as there are two maps then; [`Kind::MapSealed`](crate::Kind::MapSealed).
    ///
    /// ```
    /// let mut map = neap_map::Anon::private(8192).map()?;
    /// map.fill(9);
    /// let taken = map.move_out()?;
    /// assert_eq!((map[8191], taken[8191]), (0, 9));
    /// # Ok::<(), neap_map::Error>(())
    /// ```
    pub fn move_out(&mut self) -> Result<Map<V>, Error> {
        // SAFETY: (1) the exclusive borrow: nothing borrows from the map.
        unsafe { self.area_mut().move_out() }.map(Map::of)
    }

    /// Moves the pages to the addresses of `target`, a map of the same length and pages, whose bytes are
    /// lost.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid): another length, another place in the page, pages of another
    /// size, or a merge of different mappings;
    /// [`Kind::MapSealed`](crate::Kind::MapSealed),
    /// [`Kind::MapCountExhausted`](crate::Kind::MapCountExhausted). Both maps are in the error, as they were.
    ///
    /// ```
    /// let mut source = neap_map::Anon::private(8192).map()?;
    /// source.fill(9);
    /// let target = neap_map::Anon::private(8192).map()?;
    /// let place = target.as_ptr();
    /// let moved = source.move_over(target)?;
    /// assert_eq!((moved.as_ptr(), moved[0]), (place, 9));
    /// # Ok::<(), neap_map::Error>(())
    /// ```
    pub fn move_over(self, target: Map<V>) -> Result<Map<V>, Refused<Pair<V>>> {
        // SAFETY: (1, 2) both maps are consumed: nothing borrows from either.
        let moved = unsafe { self.into_area().move_over(target.into_area()) };
        moved.map(Map::of).map_err(|refused| {
            let error = refused.error();
            let (from, target) = refused.into_inner();
            Refused::new(error, (Map::of(from), Map::of(target)))
        })
    }
}

#[cfg(test)]
mod tests;
