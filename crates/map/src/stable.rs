//! Maps that lend slices: [`Owned`], [`Frozen`] and [`Code`].
//!
//! # Safety
//! A `Map` of one of these views is made only by constructors that prove its view (see [`crate::view`]), its
//! pages are readable, and writable if it is `Owned`, and only calls that consume the map change that. So a
//! slice of the map's bytes is valid as long as the map is borrowed: the area owns the addresses until it is
//! dropped, and nobody else changes the bytes.
#![allow(unsafe_code)]

use crate::map::Map;
use crate::view::{Owned, Stable};
use std::ops::{Deref, DerefMut};

impl<V: Stable> Deref for Map<V> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: see the module. Not null and aligned also when empty; no longer than isize::MAX (the area's
        // invariant d).
        unsafe { std::slice::from_raw_parts(self.area().as_ptr(), self.len()) }
    }
}

impl<V: Stable> AsRef<[u8]> for Map<V> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl DerefMut for Map<Owned> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: see the module; the exclusive borrow of the map is the only way to these bytes.
        unsafe { std::slice::from_raw_parts_mut(self.area().as_ptr(), self.len()) }
    }
}

impl AsMut<[u8]> for Map<Owned> {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}
