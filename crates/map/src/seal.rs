//! Sealing: a map that stays where it is, as it is, until the process ends (mseal, Linux 6.10).
//!
//! No call of this process, this library's included, can unmap, move, resize or protect it any more; the
//! bytes can still be written where they could before. A child of a fork inherits the seal, execve ends it.
//! Source: mseal(2).
#![allow(unsafe_code)]

use crate::diagnosis;
use crate::error::{Error, Feature, Kind, Refused};
use crate::map::Map;
use crate::operation::Operation;
use crate::view::View;
use neap_os::errno::Errno;

impl<V: View> Map<V> {
    /// Seals it for ever, guards included. What is returned is never dropped, so the address space is never
    /// free again; calls that a seal forbids say [`Kind::MapSealed`] and change nothing.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] before Linux 6.10; [`Kind::MapCountExhausted`]. The map is in the error; a part
    /// of it may be sealed in the second case.
    ///
    /// ```
    /// use neap_map::{Anon, Error, Kind, view::ReadOnly};
    /// fn table() -> Result<&'static [u8], Error> {
    ///     let mut map = Anon::private(4096).map()?;
    ///     map[0] = 1;
    ///     Ok(&*map.into_read_only()?.sealed()?)
    /// }
    /// match table() {
    ///     Ok(table) => assert_eq!(table[0], 1),
    ///     Err(error) => assert!(matches!(error.kind(), Kind::Unsupported(_))),
    /// }
    /// ```
    pub fn sealed(self) -> Result<&'static mut Map<V>, Refused<Map<V>>> {
        let pages = self.area().whole();
        if pages.is_empty() {
            return Ok(Box::leak(Box::new(self)));
        }
        // SAFETY: (1) the map is consumed and leaked: what is left is a reference to a `Map`, all of whose
        // calls, its drop included, take a refusal for an error and rely on nothing that was refused.
        match unsafe { neap_os::seal::seal(pages.span()) } {
            Ok(()) => Ok(Box::leak(Box::new(self))),
            Err(errno) => {
                let error = match errno {
                    Errno::ENOSYS => {
                        Error::answered(Operation::Seal, errno, Kind::Unsupported(Feature::Seal))
                    }
                    _ => diagnosis::of(Operation::Seal, errno),
                };
                Err(Refused::new(pages.name(error), self))
            }
        }
    }
}

#[cfg(test)]
mod tests;
