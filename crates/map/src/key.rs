//! [`Key`]: a protection key, and [`Keyed`]: memory that a thread can reach only while it has the right to
//! its key.
//!
//! Rights are each thread's own, and change without a system call: a key is a lock for memory that costs some
//! 20 cycles. They are given for the length of a closure. As any thread may lack them at any time, keyed
//! memory lends no slices: it is copied, and a copy without the right is [`Kind::Inaccessible`].
//!
//! Needs a processor with keys (`x86_64`: pku) and Linux 4.9; there are at most 15. A new thread starts with
//! the rights of its maker; a signal handler has none until it returns, so it takes [`Key::with`] itself. A
//! child of a fork has the key, the rights and the memory. Source: pkeys(7).
#![allow(unsafe_code)]

use crate::access;
use crate::area::Area;
use crate::diagnosis;
use crate::error::{Error, Feature, Kind, Refused};
use crate::map::Map;
use crate::operation::Operation;
use crate::view::Owned;
use neap_os::errno::Errno;
use neap_os::mapping::Prot;
pub use neap_os::pkey::Rights;
use neap_os::pkey::{self, Key as Number};
use std::mem::ManuallyDrop;
use std::sync::Arc;

/// The key's one owner: freed when nothing carries it and nobody has it.
#[derive(Debug)]
struct Allocated(Number);

impl Drop for Allocated {
    fn drop(&mut self) {
        // SAFETY: (1) from `alloc` by `Key::new`, the only maker; (2) each `Keyed` holds the owner alive
        // until no page carries the key.
        let _ = unsafe { pkey::free(self.0) };
    }
}

/// A protection key of this process. Clones are the same key; it is given back with the last of them and of
/// the memory that carries it.
#[derive(Clone, Debug)]
pub struct Key(Arc<Allocated>);

fn of_key(errno: Errno) -> Error {
    let kind = match errno {
        Errno::ENOSPC => Kind::Capacity,
        Errno::EINVAL | Errno::ENOSYS => Kind::Unsupported(Feature::ProtectionKeys),
        Errno::EPERM => Kind::MapSealed,
        _ => return diagnosis::of(Operation::Key, errno),
    };
    Error::answered(Operation::Key, errno, kind)
}

impl Key {
    /// Takes a key that nobody has. No thread has a right to it.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: no keys here; [`Kind::Capacity`]: all are taken.
    ///
    /// ```
    /// use neap_map::{Anon, Kind, key::{Key, Rights}};
    /// let key = match Key::new() {
    ///     Ok(key) => key,
    ///     Err(error) if matches!(error.kind(), Kind::Unsupported(_)) => return Ok(()),
    ///     Err(error) => return Err(error),
    /// };
    /// let secret = key.carried_by(Anon::private(4096).map()?)?;
    /// let mut bytes = [0; 4];
    /// assert_eq!(secret.read_at(0, &mut bytes).unwrap_err().kind(), Kind::Inaccessible);
    /// key.with(Rights::All, || secret.write_at(0, b"1234"))??;
    /// key.with(Rights::NoWrite, || secret.read_at(0, &mut bytes))??;
    /// assert_eq!(&bytes, b"1234");
    /// # Ok::<(), neap_map::Error>(())
    /// ```
    pub fn new() -> Result<Key, Error> {
        // Where rights cannot be changed (aarch64, as yet) a key is of no use. Where there are none the
        // kernel says either that or, to two who ask at the same time, that all are taken.
        pkey::rights(Number::DEFAULT).map_err(of_key)?;
        let number = pkey::alloc(Rights::None).map_err(of_key)?;
        Ok(Key(Arc::new(Allocated(number))))
    }

    /// Runs `work` with these rights of the calling thread to what carries the key, and gives those back that
    /// it had before when `work` returns or panics. Threads that `work` starts have the rights for good.
    ///
    /// # Errors
    /// None on a machine where [`Key::new`] has succeeded.
    pub fn with<R>(&self, rights: Rights, work: impl FnOnce() -> R) -> Result<R, Error> {
        struct Restore(Number, Rights);
        impl Drop for Restore {
            fn drop(&mut self) {
                // SAFETY: as below.
                let restored = unsafe { pkey::set_rights(self.0, self.1) };
                assert!(restored.is_ok(), "rights that were changed can be changed back");
            }
        }
        let number = self.0.0;
        // SAFETY: (1) this key's own, from `alloc`; (2) what carries it is touched by `Keyed`'s copies only,
        // for which a fault is an error.
        let before = unsafe { pkey::set_rights(number, rights) }.map_err(of_key)?;
        let _restore = Restore(number, before);
        Ok(work())
    }

    /// Makes the pages of `map` carry the key.
    ///
    /// # Errors
    /// [`Kind::MapSealed`], [`Kind::MapCountExhausted`]; the map is in the error, as it was.
    pub fn carried_by(&self, map: Map<Owned>) -> Result<Keyed, Refused<Map<Owned>>> {
        let pages = map.area().own_pages();
        if !pages.is_empty() {
            // SAFETY: (1) the map's own pages and this key's own number; (2) the map is consumed: nothing
            // borrows from it, and from now on the pages are only copied, where a fault is an error.
            if let Err(errno) = unsafe { pkey::protect(pages.span(), Prot::READ | Prot::WRITE, self.0.0) } {
                // SAFETY: as above; the default key forbids nothing. All that was half done is undone.
                let undone =
                    unsafe { pkey::protect(pages.span(), Prot::READ | Prot::WRITE, Number::DEFAULT) };
                let error = pages.name(of_key(errno));
                assert!(
                    undone.is_ok() || errno == Errno::EPERM,
                    "half keyed, and not to be undone: {error}"
                );
                return Err(Refused::new(error, map));
            }
        }
        Ok(Keyed {
            area: ManuallyDrop::new(map.into_area()),
            key: ManuallyDrop::new(self.clone()),
        })
    }
}

/// Private memory that carries a key: bytes are copied out and in by threads that have the right. What is
/// copied out while another thread copies in is any mixture.
#[derive(Debug)]
pub struct Keyed {
    area: ManuallyDrop<Area>,
    key: ManuallyDrop<Key>,
}

impl Keyed {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.area.len()
    }

    /// Whether it has no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.area.len() == 0
    }

    /// The key that it carries.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Refuses what this thread has no right to, where the kernel copies: it does not look at the thread's
    /// rights (mm/gup.c: FOLL_REMOTE).
    fn permits(&self, operation: Operation) -> Result<(), Error> {
        if access::has_handler() {
            return Ok(());
        }
        match (operation, pkey::rights(self.key.0.0).map_err(of_key)?) {
            (_, Rights::All) | (Operation::Read, Rights::NoWrite) => Ok(()),
            _ => Err(Error::found(operation, Kind::Inaccessible)),
        }
    }

    /// Copies `to.len()` bytes from `offset` on.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`]; [`Kind::Inaccessible`]: this thread has no right to the key.
    pub fn read_at(&self, offset: usize, to: &mut [u8]) -> Result<(), Error> {
        let end = offset.saturating_add(to.len());
        let bytes = self.area.bytes(Operation::Read, &(offset..end))?;
        self.permits(Operation::Read)
            .map_err(|error| error.at(offset as u64, to.len() as u64))?;
        // SAFETY: (1) the bytes lie in the area, checked above.
        unsafe { access::copy_out(self.area.as_ptr().add(bytes.start), to) }
            .map_err(|error| error.at(offset as u64, to.len() as u64))
    }

    /// Copies `from` to the bytes from `offset` on.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`]; [`Kind::Inaccessible`]: this thread may not store.
    pub fn write_at(&self, offset: usize, from: &[u8]) -> Result<(), Error> {
        let end = offset.saturating_add(from.len());
        let bytes = self.area.bytes(Operation::Write, &(offset..end))?;
        self.permits(Operation::Write)
            .map_err(|error| error.at(offset as u64, from.len() as u64))?;
        // SAFETY: (1) the bytes lie in the area, checked above; (2) a `Keyed` lends none.
        unsafe { access::copy_in(from, self.area.as_ptr().add(bytes.start)) }
            .map_err(|error| error.at(offset as u64, from.len() as u64))
    }

    /// Takes the key off: memory like any other, with its contents.
    ///
    /// # Errors
    /// [`Kind::MapSealed`], [`Kind::MapCountExhausted`]; the memory is in the error, and its pages carry the
    /// key as far as they do.
    pub fn release(self) -> Result<Map<Owned>, Refused<Keyed>> {
        let pages = self.area.own_pages();
        if !pages.is_empty() {
            // SAFETY: (1) the area's own pages; (2) the default key forbids nothing.
            let opened = unsafe { pkey::protect(pages.span(), Prot::READ | Prot::WRITE, Number::DEFAULT) };
            if let Err(errno) = opened {
                return Err(Refused::new(pages.name(of_key(errno)), self));
            }
        }
        let mut parts = ManuallyDrop::new(self);
        // SAFETY: neither part is used again: `parts` is never dropped or touched after this. No page carries
        // the key any more.
        let area = unsafe {
            ManuallyDrop::drop(&mut parts.key);
            ManuallyDrop::take(&mut parts.area)
        };
        Ok(Map::of(area))
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        // SAFETY: taken once, as a drop happens once and `release` prevents it.
        let area = unsafe { ManuallyDrop::take(&mut self.area) };
        match area.unmap() {
            // SAFETY: as above; no page carries the key.
            Ok(()) => unsafe { ManuallyDrop::drop(&mut self.key) },
            // The pages stay, for ever, and so must the key.
            Err(refused) => _ = refused.into_inner().release(),
        }
    }
}

#[cfg(test)]
mod tests;
