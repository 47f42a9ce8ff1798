//! Words of volatile maps, loaded, stored and changed in one step: by value, never by reference.
//!
//! The other processes' side may be C11 atomics, futexes or this: each access is one instruction on an
//! aligned word (on aarch64 one loop of exclusive accesses), guarded, so that a page that is missing is an
//! error and not SIGBUS. Needs [`Means::Handler`](crate::Means): the kernel's copies are not atomic.
//!
//! A compare-and-exchange that finds another value is no error of the memory: the outer `Result` is the
//! access's, the inner the comparison's.
#![allow(unsafe_code)]

use crate::access;
use crate::error::{Error, Feature, Kind};
use crate::map::Map;
use crate::operation::Operation;
use crate::view::{CopyIn, CopyOut, View};
use neap_os::fault::{self, Fault};
use std::sync::atomic::{Ordering, fence};

mod sealed {
    use neap_os::fault::Fault;

    /// The guarded instructions for one size.
    ///
    /// # Safety
    /// Of each function:
    /// 1. The word is aligned, and each of its bytes faults or may be accessed so.
    pub trait Word: Copy {
        #[doc(hidden)]
        unsafe fn load(at: *const Self) -> Result<Self, Fault>;
        #[doc(hidden)]
        unsafe fn store(at: *mut Self, value: Self) -> Result<(), Fault>;
        #[doc(hidden)]
        unsafe fn exchange(at: *mut Self, old: Self, new: Self) -> Result<Result<Self, Self>, Fault>;
        #[doc(hidden)]
        unsafe fn add(at: *mut Self, value: Self) -> Result<Self, Fault>;
    }
}

/// A word that is accessed in one step: `u32` or `u64`.
pub trait Word: sealed::Word {}

macro_rules! words {
    ($($type:ident: $load:ident $store:ident $exchange:ident $add:ident;)*) => {$(
        impl sealed::Word for $type {
            #[inline]
            unsafe fn load(at: *const $type) -> Result<$type, Fault> {
                // SAFETY: (1) as given (1).
                unsafe { fault::$load(at) }
            }
            #[inline]
            unsafe fn store(at: *mut $type, value: $type) -> Result<(), Fault> {
                // SAFETY: (1) as given (1).
                unsafe { fault::$store(at, value) }
            }
            #[inline]
            unsafe fn exchange(
                at: *mut $type,
                old: $type,
                new: $type,
            ) -> Result<Result<$type, $type>, Fault> {
                // SAFETY: (1) as given (1).
                unsafe { fault::$exchange(at, old, new) }
            }
            #[inline]
            unsafe fn add(at: *mut $type, value: $type) -> Result<$type, Fault> {
                // SAFETY: (1) as given (1).
                unsafe { fault::$add(at, value) }
            }
        }
        impl Word for $type {}
    )*};
}

words! {
    u32: load_u32 store_u32 compare_exchange_u32 fetch_add_u32;
    u64: load_u64 store_u64 compare_exchange_u64 fetch_add_u64;
}

/// The address of the word at `offset`, if it is one: in the map, aligned, and the handler there to guard it.
#[inline]
fn word<V: View, W: Word>(map: &Map<V>, operation: Operation, offset: usize) -> Result<*mut W, Error> {
    let refused = |kind| Error::found(operation, kind).at(offset as u64, size_of::<W>() as u64);
    let end = offset.checked_add(size_of::<W>()).filter(|&end| end <= map.len());
    if end.is_none() {
        return Err(refused(Kind::OutOfRange));
    }
    let at: *mut W = map.area().as_ptr().wrapping_add(offset).cast();
    if !at.is_aligned() {
        return Err(refused(Kind::Misaligned));
    }
    if !access::has_handler() {
        return Err(refused(Kind::Unsupported(Feature::Atomics)));
    }
    Ok(at)
}

fn failed<W>(operation: Operation, fault: Fault, at: *const W, offset: usize) -> Error {
    access::of_fault(operation, fault, at.addr(), size_of::<W>()).at(offset as u64, size_of::<W>() as u64)
}

impl<V: CopyOut> Map<V> {
    /// Loads the word at `offset`. Panics as the standard library's atomics do for an order that a load
    /// cannot have.
    ///
    /// # Errors
    /// As [`Map::read_at`]; [`Kind::Misaligned`]: its address is not a multiple of its size;
    /// [`Kind::Unsupported`] without the handler.
    #[inline]
    pub fn load<W: Word>(&self, offset: usize, order: Ordering) -> Result<W, Error> {
        let at = word::<V, W>(self, Operation::Read, offset)?;
        if order == Ordering::SeqCst {
            fence(Ordering::SeqCst);
        }
        // SAFETY: (1) an aligned word of the area, checked by `word`; this view lends no reference to it.
        let value = unsafe { W::load(at) }.map_err(|fault| failed(Operation::Read, fault, at, offset))?;
        match order {
            Ordering::Relaxed => {}
            Ordering::Acquire | Ordering::SeqCst => fence(Ordering::Acquire),
            _ => panic!("a load orders nothing before it"),
        }
        Ok(value)
    }
}

impl<V: CopyIn> Map<V> {
    /// Stores the word at `offset`. Panics for an order that a store cannot have.
    ///
    /// # Errors
    /// As [`Map::load`] and [`Map::write_at`].
    #[inline]
    pub fn store<W: Word>(&self, offset: usize, value: W, order: Ordering) -> Result<(), Error> {
        let at = word::<V, W>(self, Operation::Write, offset)?;
        match order {
            Ordering::Relaxed => {}
            Ordering::Release | Ordering::SeqCst => fence(Ordering::Release),
            _ => panic!("a store orders nothing after it"),
        }
        // SAFETY: (1) an aligned word of the area, checked by `word`; this view lends no reference to it.
        unsafe { W::store(at, value) }.map_err(|fault| failed(Operation::Write, fault, at, offset))?;
        if order == Ordering::SeqCst {
            fence(Ordering::SeqCst);
        }
        Ok(())
    }

    /// Stores `new` at `offset` if `old` is there, in one step that orders as `SeqCst`. `Ok(Ok(old))` says
    /// that it was; `Ok(Err(now))` what was there instead.
    ///
    /// # Errors
    /// As [`Map::load`] and [`Map::write_at`]. The page must be writable even if the comparison fails.
    #[inline]
    pub fn compare_exchange<W: Word>(&self, offset: usize, old: W, new: W) -> Result<Result<W, W>, Error> {
        let at = word::<V, W>(self, Operation::Write, offset)?;
        fence(Ordering::SeqCst);
        // SAFETY: (1) an aligned word of the area, checked by `word`; this view lends no reference to it.
        let outcome = unsafe { W::exchange(at, old, new) };
        fence(Ordering::SeqCst);
        outcome.map_err(|fault| failed(Operation::Write, fault, at, offset))
    }

    /// Adds to the word at `offset`, wrapping around, in one step that orders as `SeqCst`. Returns what it
    /// was.
    ///
    /// # Errors
    /// As [`Map::compare_exchange`].
    #[inline]
    pub fn fetch_add<W: Word>(&self, offset: usize, value: W) -> Result<W, Error> {
        let at = word::<V, W>(self, Operation::Write, offset)?;
        fence(Ordering::SeqCst);
        // SAFETY: (1) an aligned word of the area, checked by `word`; this view lends no reference to it.
        let before = unsafe { W::add(at, value) };
        fence(Ordering::SeqCst);
        before.map_err(|fault| failed(Operation::Write, fault, at, offset))
    }
}

#[cfg(test)]
mod tests {
    use crate::access::{Means, use_means};
    use crate::anon::Anon;
    use crate::child::{Child, in_child};
    use crate::error::{Feature, Kind};
    use crate::file::FileMap;
    use rustix::fs::MemfdFlags;
    use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

    #[test]
    fn processes_and_threads_count_together() {
        const ROUNDS: u64 = 20_000;
        let map = Anon::shared(64).map().unwrap();
        use_means(Means::Handler).unwrap();
        let work = || {
            for _ in 0..ROUNDS {
                map.fetch_add(8, 1u64).unwrap();
                let mut now = map.load::<u32>(20, Relaxed).unwrap();
                while let Err(other) = map.compare_exchange(20, now, now + 1).unwrap() {
                    now = other;
                }
            }
        };
        let children: Vec<Child> = (0..2).map(|_| Child::start(work)).collect();
        std::thread::scope(|scope| (0..2).for_each(|_| _ = scope.spawn(work)));
        children
            .into_iter()
            .for_each(|child| assert_eq!(child.end(), Ok(0)));
        assert_eq!(map.load::<u64>(8, SeqCst), Ok(4 * ROUNDS));
        assert_eq!(map.load::<u32>(20, SeqCst), Ok(4 * ROUNDS as u32));
        assert_eq!(
            (map.read::<u64>(0), map.read::<u32>(16), map.read::<u64>(24)),
            (Ok(0), Ok(0), Ok(0))
        );
    }

    #[test]
    fn what_was_stored_before_a_release_is_seen_after_an_acquire() {
        let map = Anon::shared(1 << 20).map().unwrap();
        use_means(Means::Handler).unwrap();
        let child = Child::start(|| {
            for turn in 1..=200u64 {
                map.fill(4096.., turn as u8).unwrap();
                map.store(0, turn, Release).unwrap();
                while map.load::<u64>(8, Acquire).unwrap() != turn {
                    std::thread::yield_now();
                }
            }
        });
        for turn in 1..=200u64 {
            while map.load::<u64>(0, Acquire).unwrap() != turn {
                std::thread::yield_now();
            }
            assert_eq!(map.read::<[u8; 64]>(777_777), Ok([turn as u8; 64]));
            map.store(8, turn, Release).unwrap();
        }
        assert_eq!(child.end(), Ok(0));
    }

    #[test]
    fn a_word_that_cannot_be_had_is_an_error() {
        let fd = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        rustix::fs::ftruncate(&fd, 8192).unwrap();
        let map = FileMap::of(&fd).writable().map().unwrap();
        rustix::fs::ftruncate(&fd, 4096).unwrap();
        let errors = [
            map.load::<u32>(4096, Relaxed).map(drop).unwrap_err(),
            map.store(4096, 1u32, SeqCst).unwrap_err(),
            map.fetch_add(4096, 1u64).map(drop).unwrap_err(),
            map.compare_exchange(4096, 0u64, 1).map(drop).unwrap_err(),
        ];
        for error in errors {
            assert!(
                [Kind::FileTooShort, Kind::PageUnavailable].contains(&error.kind()),
                "{error}"
            );
            assert_eq!(error.range().start, 4096);
        }
        assert_eq!(map.load::<u32>(4092, Relaxed), Ok(0));
        assert_eq!(map.load::<u32>(2, Relaxed).unwrap_err().kind(), Kind::Misaligned);
        assert_eq!(map.load::<u64>(4, Relaxed).unwrap_err().kind(), Kind::Misaligned);
        assert_eq!(
            map.load::<u64>(8192, Relaxed).unwrap_err().kind(),
            Kind::OutOfRange
        );
        assert_eq!(
            map.load::<u32>(usize::MAX - 3, Relaxed).unwrap_err().kind(),
            Kind::OutOfRange
        );
        in_child(|| {
            use_means(Means::SystemCalls).unwrap();
            assert_eq!(
                map.fetch_add(0, 1u32).unwrap_err().kind(),
                Kind::Unsupported(Feature::Atomics)
            );
        });
    }
}
