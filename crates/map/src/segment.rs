//! [`Segment`]: an object in shared memory that has a name, and is complete whenever somebody finds it.
//!
//! It is made in a file without a name, which is allocated, locked ([`crate::Shm`]) and initialised, and then
//! gets its name in one step. A process killed before leaves nothing; of many that create one at the same
//! time, one succeeds, and all others find what it made. Who attaches checks a header before anything else.
//!
//! The file is a header of 64 bytes, all little things in the machine's byte order, and the object at the
//! next multiple of its alignment. The header has magic, layout version, where the object lies, the file's
//! length and the type's fingerprint: of its size, alignment and name. Compilers may name one type
//! differently, and their programs then refuse each other's segments. Linux 3.15.
#![allow(unsafe_code)]

use crate::error::{Error, Kind};
use crate::file::FileMap;
use crate::map::Map;
use crate::memfd::{Memfd, Seals};
use crate::operation::Operation;
use crate::shm::{Origin, Shm};
use crate::sync::{self, Placed};
use crate::view::VolatileMut;
use std::any::type_name;
use std::ffi::OsStr;
use std::fmt;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;

const MAGIC: u64 = u64::from_le_bytes(*b"neap seg");
const VERSION: u64 = 1;
const HEADER: usize = 64;

/// The header's words, in order.
fn header<O>() -> [u64; 5] {
    let [object, len] = [offset::<O>() as u64, len::<O>()];
    [MAGIC, VERSION, object, len, fingerprint::<O>()]
}

/// Where the object lies in the file.
const fn offset<O>() -> usize {
    // A map starts on a page, of 4096 bytes at least.
    const { assert!(align_of::<O>() <= 4096, "objects are aligned within a page") };
    HEADER.next_multiple_of(align_of::<O>())
}

/// The file's length.
const fn len<O>() -> u64 {
    (offset::<O>() + size_of::<O>()) as u64
}

/// FNV-1a of what two programs must agree on.
fn fingerprint<O>() -> u64 {
    let sizes = [size_of::<O>() as u64, align_of::<O>() as u64];
    let sizes = sizes.iter().flat_map(|size| size.to_le_bytes());
    let bytes = sizes.chain(type_name::<O>().bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// An object of the type `O` in a POSIX shared memory object, attached. See the module.
///
/// It lends `&O`, and is detached when it is dropped; if this process then holds the object by a forgotten
/// guard, it stays mapped for ever. The name stays until [`Shm::unlink`] or, once nobody has it attached,
/// [`Shm::reap_stale`].
///
/// ```
/// use neap_map::{Segment, Shm, sync::Mutex};
/// let name = format!("neap-doc-segment-{}", std::process::id());
/// // SAFETY: (1, 2, 3) the name is this program's alone.
/// let (counter, _) = unsafe { Segment::<Mutex<u64>>::create_or_attach(&name, || 40)? };
/// // SAFETY: as above.
/// let (same, _) = unsafe { Segment::<Mutex<u64>>::create_or_attach(&name, || 0)? };
/// *counter.lock().unwrap() += 2;
/// assert_eq!(*same.lock().unwrap(), 42);
/// Shm::unlink(&name)?;
/// # Ok::<(), neap_map::Error>(())
/// ```
pub struct Segment<O: Placed> {
    at: NonNull<O>,
    map: Option<Map<VolatileMut>>,
}

// SAFETY: it lends `&O` and nothing else, which threads may share (Placed: Sync); the map is only dropped.
unsafe impl<O: Placed> Send for Segment<O> {}
// SAFETY: as above.
unsafe impl<O: Placed> Sync for Segment<O> {}

impl<O: Placed> Segment<O> {
    /// Attaches the segment of this name, or makes one of `initial`'s value. Of several processes that call
    /// it at the same time, each may call `initial`, but the value of one only is ever seen: that one gets
    /// [`Origin::Created`], all others [`Origin::Found`].
    ///
    /// # Errors
    /// - [`Kind::Foreign`]: the name is of something else, or of an object of another type or version.
    /// - [`Kind::Invalid`]: the object cannot be made of that value.
    /// - Those of [`crate::ShmRequest::create`] and [`Shm::open`].
    ///
    /// # Safety
    /// 1. Nobody gives the object another length, and nobody writes to it but through segments.
    /// 2. All that attach it are in one PID namespace.
    /// 3. A child of a raw clone(2) without the C library's fork handlers does not use it.
    pub unsafe fn create_or_attach(
        name: impl AsRef<OsStr>,
        mut initial: impl FnMut() -> O::Initial,
    ) -> Result<(Segment<O>, Origin), Error> {
        let name = name.as_ref();
        loop {
            // SAFETY: (1) as (1) to (3) here.
            match unsafe { Segment::attach(name) } {
                Ok(segment) => return Ok((segment, Origin::Found)),
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
            // SAFETY: (1) as (1) to (3) here.
            match unsafe { Segment::create(name, &mut initial) } {
                Ok(segment) => return Ok((segment, Origin::Created)),
                Err(error) if error.kind() == Kind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes a segment of this name, which nothing has.
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`]; [`Kind::Invalid`]; those of [`crate::ShmRequest::create`].
    ///
    /// # Safety
    /// 1. As (1) to (3) of [`Segment::create_or_attach`].
    pub unsafe fn create(
        name: impl AsRef<OsStr>,
        initial: impl FnOnce() -> O::Initial,
    ) -> Result<Segment<O>, Error> {
        let request = Shm::named(name.as_ref());
        // SAFETY: (1) allocated, and not cut or written otherwise (1); (2) it has no name yet; (3) by (1).
        let fill = |file: BorrowedFd<'_>| unsafe { Segment::make(file, initial) };
        request.create_with(len::<O>(), fill).map(|(_, segment)| segment)
    }

    /// Makes a segment without a name, for those to whom the memfd is passed ([`crate::parcel`]). It is
    /// sealed against changes of its length.
    ///
    /// # Errors
    /// [`Kind::Invalid`]; those of [`crate::MemfdRequest::create`].
    ///
    /// # Safety
    /// 1. Nobody writes to it but through segments.
    /// 2. As (2) and (3) of [`Segment::create_or_attach`].
    pub unsafe fn create_unnamed(initial: O::Initial) -> Result<(Segment<O>, Memfd), Error> {
        let memfd = Memfd::named("neap-segment").create(len::<O>())?;
        memfd.seal(Seals::SHRINK | Seals::GROW)?;
        // SAFETY: (1) allocated, sealed, and not written otherwise (1); (2) just made; (3) by (2).
        let segment = unsafe { Segment::make(memfd.as_fd(), || initial)? };
        Ok((segment, memfd))
    }

    /// Attaches the segment in this memfd.
    ///
    /// # Errors
    /// [`Kind::Foreign`]: none is there, or it is not sealed; [`Kind::AccessDenied`]: a descriptor for
    /// reading.
    ///
    /// # Safety
    /// 1. As (1) and (2) of [`Segment::create_unnamed`].
    pub unsafe fn attach_unnamed(memfd: &Memfd) -> Result<Segment<O>, Error> {
        let foreign = Error::found(Operation::Attach, Kind::Foreign);
        if memfd.len()? != len::<O>() || !memfd.seals()?.contains(Seals::SHRINK | Seals::GROW) {
            return Err(foreign);
        }
        // SAFETY: (1) sealed, and not written otherwise (1).
        unsafe { Segment::find(memfd.map()?) }
    }

    /// # Safety
    /// 1. The file is as long as a segment of `O` and allocated; nobody cuts it, or writes it but through
    ///    segments.
    /// 2. Nobody else uses it before this returns.
    /// 3. As (2) and (3) of [`Segment::create_or_attach`].
    unsafe fn make(file: BorrowedFd<'_>, initial: impl FnOnce() -> O::Initial) -> Result<Segment<O>, Error> {
        let map = FileMap::of(&file).writable().map()?;
        map.write(0, &header::<O>())?;
        let place = Segment::<O>::place(&map)?;
        // SAFETY: (1) the map is kept in the segment, whose drop keeps it if the object is held; (2) by (1)
        // and (3); (3) by (2); (4) by (3).
        let made = unsafe { sync::init_at::<O>(place, initial()) };
        let at = NonNull::from(made.map_err(|error| refused(Operation::Create, &error, Kind::Invalid))?);
        Ok(Segment { at, map: Some(map) })
    }

    /// Attaches the segment of this name.
    ///
    /// # Errors
    /// [`Kind::Foreign`]; those of [`Shm::open`].
    ///
    /// # Safety
    /// 1. As (1) to (3) of [`Segment::create_or_attach`].
    pub unsafe fn attach(name: impl AsRef<OsStr>) -> Result<Segment<O>, Error> {
        let foreign = Error::found(Operation::Attach, Kind::Foreign);
        let shm = Shm::open(name)?;
        if shm.stat()?.len != len::<O>() {
            return Err(foreign);
        }
        // The map keeps the object's lock when the descriptor is closed.
        // SAFETY: (1) the name is of a segment, whose length nobody changes, and which nobody else writes
        // (1).
        unsafe { Segment::find(shm.map()?) }
    }

    /// # Safety
    /// 1. What is mapped keeps its length, and nobody writes it but through segments, as (1) to (3) of
    ///    [`Segment::create_or_attach`] say.
    unsafe fn find(map: Map<VolatileMut>) -> Result<Segment<O>, Error> {
        if map.read::<[u64; 5]>(0)? != header::<O>() {
            return Err(Error::found(Operation::Attach, Kind::Foreign));
        }
        let place = Segment::<O>::place(&map)?;
        // SAFETY: (1) the map is kept in the segment, whose drop keeps it if the object is held; who made the
        // file allocated it, and the rest is (1).
        let found = unsafe { sync::attach::<O>(place) };
        let at = NonNull::from(found.map_err(|error| refused(Operation::Attach, &error, Kind::Foreign))?);
        Ok(Segment { at, map: Some(map) })
    }

    /// Where the object lies in a map of the file.
    fn place(map: &Map<VolatileMut>) -> Result<NonNull<[u8]>, Error> {
        let bytes = map.area().bytes(Operation::Attach, &(offset::<O>()..))?;
        let first = map.area().as_ptr().wrapping_add(bytes.start);
        let first = NonNull::new(first).ok_or(Error::found(Operation::Attach, Kind::NotMapped))?;
        Ok(NonNull::slice_from_raw_parts(first, bytes.len()))
    }
}

/// What an object said, as this crate's error.
fn refused(operation: Operation, error: &sync::Error, kind: Kind) -> Error {
    match error {
        sync::Error::Map(kind) => Error::found(operation, *kind),
        _ => Error::found(operation, kind),
    }
}

impl<O: Placed> Deref for Segment<O> {
    type Target = O;

    fn deref(&self) -> &O {
        // SAFETY: checked by `init_at` or `attach`, and mapped until `self` is dropped.
        unsafe { self.at.as_ref() }
    }
}

impl<O: Placed> Drop for Segment<O> {
    fn drop(&mut self) {
        if self.is_held_here() {
            std::mem::forget(self.map.take());
        }
    }
}

impl<O: Placed + fmt::Debug> fmt::Debug for Segment<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
