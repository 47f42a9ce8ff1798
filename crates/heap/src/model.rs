//! Atomics that loom schedules, for the models in `tests/models`; they exist only there (`--cfg loom`).
//!
//! Owns the names that `crate::sync` hands out in that build. An atomic here is as large as the real one,
//! may be a constant and may lie in zeroed memory, so the heap is compiled as it is. Outside of a
//! [`Stage`] it *is* the real one. On a stage it stands for an atomic of loom's with the same value, which
//! loom must be told of before the threads begin: so [`explore`] runs a model again when it meets an
//! address that it did not know. Everything must lie at the same place in every run.
//!
//! A helper must have ended before the parts of its model have.
//!
//! Blocks' links and what a program does with its blocks are no atomics: [`read`] and [`write`] have loom
//! check that no two threads touch them at once without having handed them over.

#![allow(unsafe_code)]

use core::sync::atomic::Ordering;
use std::boxed::Box;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What lies at an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Kind {
    AtomicBool,
    AtomicU8,
    AtomicU16,
    AtomicU32,
    AtomicU64,
    AtomicUsize,
    /// Plain memory.
    Bytes,
    /// Threads that sleep on a word.
    Bed,
}

enum Object {
    AtomicBool(loom::sync::atomic::AtomicBool),
    AtomicU8(loom::sync::atomic::AtomicU8),
    AtomicU16(loom::sync::atomic::AtomicU16),
    AtomicU32(loom::sync::atomic::AtomicU32),
    AtomicU64(loom::sync::atomic::AtomicU64),
    AtomicUsize(loom::sync::atomic::AtomicUsize),
    Bytes(loom::cell::UnsafeCell<()>),
    Bed(loom::sync::Mutex<()>, loom::sync::Condvar),
}

/// One run of a model: what loom knows of.
struct Stage {
    objects: HashMap<(usize, Kind), Box<Object>>,
}

std::thread_local! {
    static ON_STAGE: core::cell::Cell<bool> = const { core::cell::Cell::new(false) };
    static STAGE: RefCell<Option<Stage>> = const { RefCell::new(None) };
    static KNOWN: RefCell<BTreeSet<(usize, Kind)>> = const { RefCell::new(BTreeSet::new()) };
    static RUNS: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
    static MET: RefCell<BTreeSet<(usize, Kind)>> = const { RefCell::new(BTreeSet::new()) };
}

/// The object at `address`, if this is a stage and it was known when the stage was set.
#[inline]
fn object(address: usize, kind: Kind) -> Option<&'static Object> {
    if ON_STAGE.get() {
        staged(address, kind)
    } else {
        None
    }
}

fn staged(address: usize, kind: Kind) -> Option<&'static Object> {
    STAGE.with_borrow(|stage| {
        let stage = stage.as_ref()?;
        match stage.objects.get(&(address, kind)) {
            // SAFETY: boxed, and the stage is struck only when no thread of the model runs any more.
            Some(object) => Some(unsafe { &*core::ptr::from_ref::<Object>(object) }),
            None => {
                MET.with_borrow_mut(|met| met.insert((address, kind)));
                None
            }
        }
    })
}

/// A read of the plain memory at `address`.
pub(crate) fn read(address: usize) {
    if let Some(Object::Bytes(cell)) = object(address, Kind::Bytes) {
        cell.with(|_| ());
    }
}

/// A write of the plain memory at `address`.
pub(crate) fn write(address: usize) {
    if let Some(Object::Bytes(cell)) = object(address, Kind::Bytes) {
        cell.with_mut(|_| ());
    }
}

/// A write of all plain memory in a range: what has never been touched need not be known.
pub(crate) fn write_all(start: usize, end: usize) {
    let known = KNOWN.with_borrow(|known| {
        let range = (start, Kind::AtomicBool)..(end, Kind::AtomicBool);
        let bytes = known.range(range).filter(|(_, kind)| *kind == Kind::Bytes);
        bytes.map(|(address, _)| *address).collect::<std::vec::Vec<_>>()
    });
    known.into_iter().for_each(write);
}

macro_rules! atomics {
    ($($name:ident: $int:ty),*) => {$(
        /// As the real one.
        #[repr(transparent)]
        pub(crate) struct $name(core::sync::atomic::$name);

        #[allow(dead_code, reason = "each type has what the others have")]
        impl $name {
            pub(crate) const fn new(value: $int) -> $name {
                $name(core::sync::atomic::$name::new(value))
            }
            fn staged(&self) -> Option<&'static loom::sync::atomic::$name> {
                match object(core::ptr::from_ref(self).addr(), Kind::$name) {
                    Some(Object::$name(atomic)) => Some(atomic),
                    _ => None,
                }
            }
            pub(crate) fn load(&self, order: Ordering) -> $int {
                self.staged().map_or_else(|| self.0.load(order), |a| a.load(order))
            }
            pub(crate) fn store(&self, value: $int, order: Ordering) {
                self.staged().map_or_else(|| self.0.store(value, order), |a| a.store(value, order));
            }
            pub(crate) fn swap(&self, value: $int, order: Ordering) -> $int {
                self.staged().map_or_else(|| self.0.swap(value, order), |a| a.swap(value, order))
            }
        }
    )*};
}

macro_rules! integers {
    ($($name:ident: $int:ty: $($method:ident),*;)*) => {$(
        #[allow(dead_code, reason = "each type has what loom has")]
        impl $name {
            pub(crate) fn compare_exchange(
                &self, from: $int, to: $int, good: Ordering, bad: Ordering,
            ) -> Result<$int, $int> {
                self.staged().map_or_else(
                    || self.0.compare_exchange(from, to, good, bad),
                    |a| a.compare_exchange(from, to, good, bad),
                )
            }
            pub(crate) fn compare_exchange_weak(
                &self, from: $int, to: $int, good: Ordering, bad: Ordering,
            ) -> Result<$int, $int> {
                self.compare_exchange(from, to, good, bad)
            }
            $(pub(crate) fn $method(&self, value: $int, order: Ordering) -> $int {
                self.staged().map_or_else(|| self.0.$method(value, order), |a| a.$method(value, order))
            })*
        }
    )*};
}

atomics!(AtomicBool: bool, AtomicU8: u8, AtomicU16: u16, AtomicU32: u32, AtomicU64: u64, AtomicUsize: usize);
integers! {
    AtomicU8: u8: fetch_add;
    AtomicU16: u16: fetch_add;
    AtomicU32: u32: fetch_add, fetch_sub, fetch_and, fetch_or, fetch_max;
    AtomicU64: u64: fetch_add, fetch_sub, fetch_and, fetch_or, fetch_max;
    AtomicUsize: usize: fetch_add, fetch_sub, fetch_and, fetch_or, fetch_max;
}

/// As the real one.
pub(crate) fn fence(order: Ordering) {
    if ON_STAGE.get() {
        loom::sync::atomic::fence(order);
    }
}

/// A turn for the others while waiting.
pub(crate) fn spin_loop() {
    if ON_STAGE.get() {
        loom::thread::yield_now();
    }
}

/// `neap_os::clock`: time stands still, for a model must go the same way each time.
pub(crate) mod clock {
    pub(crate) fn monotonic_ns() -> u64 {
        1
    }
    pub(crate) fn monotonic_coarse_ns() -> u64 {
        1
    }
}

/// `neap_os::futex`: whoever sleeps was told to by a value that was still there.
pub(crate) mod futex {
    use super::{AtomicU32, Kind, Object, Ordering, object, spin_loop};
    use core::time::Duration;
    use neap_os::errno::Errno;

    /// A sleep with a limit ends at once: that is one of the ways it can end.
    pub(crate) fn wait(word: &AtomicU32, expected: u32, limit: Option<Duration>) -> Result<(), Errno> {
        match object(core::ptr::from_ref(word).addr(), Kind::Bed) {
            Some(Object::Bed(gate, bell)) if limit.is_none() => {
                let gate = gate.lock().expect("loom poisons no lock");
                if word.load(Ordering::Relaxed) == expected {
                    drop(bell.wait(gate).expect("loom poisons no lock"));
                }
            }
            _ => spin_loop(),
        }
        Ok(())
    }

    pub(crate) fn wake(word: &AtomicU32, count: u32) -> u32 {
        if let Some(Object::Bed(gate, bell)) = object(core::ptr::from_ref(word).addr(), Kind::Bed) {
            let _gate = gate.lock().expect("loom poisons no lock");
            (0..count).for_each(|_| bell.notify_one());
        }
        count
    }
}

/// `neap_os::thread`: a helper is a thread of loom's.
pub(crate) mod thread {
    use super::{AtomicU32, Ordering, futex};
    use neap_os::errno::Errno;
    use neap_os::unit::Span;

    /// # Safety
    /// 1. As the real one.
    pub(crate) unsafe fn spawn_helper(
        _: Span,
        entry: extern "C" fn(*mut u8),
        arg: *mut u8,
        tid: &'static AtomicU32,
    ) -> Result<u32, Errno> {
        tid.store(1, Ordering::Relaxed);
        let arg = arg.expose_provenance();
        loom::thread::spawn(move || {
            entry(core::ptr::with_exposed_provenance_mut(arg));
            // As the kernel does it after the thread's last instruction.
            tid.store(0, Ordering::Release);
            futex::wake(tid, 1);
        });
        Ok(1)
    }

    pub(crate) fn join(tid: &AtomicU32) {
        while let running @ 1.. = tid.load(Ordering::Acquire) {
            let _ = futex::wait(tid, running, None);
        }
    }
}

/// From here on loom schedules what is known.
fn set_stage() {
    let known = KNOWN.with_borrow(Clone::clone);
    let value = |address: usize, bytes: usize| -> u64 {
        let mut value = [0; 8];
        // SAFETY: an atomic of so many bytes lies there, and no thread of the model runs yet.
        unsafe {
            core::ptr::copy_nonoverlapping(
                core::ptr::with_exposed_provenance::<u8>(address),
                value.as_mut_ptr(),
                bytes,
            );
        }
        u64::from_ne_bytes(value)
    };
    let mut objects = HashMap::new();
    for (at, kind) in known {
        use loom::sync::atomic as staged;
        let object = match kind {
            Kind::AtomicBool => Object::AtomicBool(staged::AtomicBool::new(value(at, 1) != 0)),
            Kind::AtomicU8 => Object::AtomicU8(staged::AtomicU8::new(value(at, 1) as u8)),
            Kind::AtomicU16 => Object::AtomicU16(staged::AtomicU16::new(value(at, 2) as u16)),
            Kind::AtomicU32 => Object::AtomicU32(staged::AtomicU32::new(value(at, 4) as u32)),
            Kind::AtomicU64 => Object::AtomicU64(staged::AtomicU64::new(value(at, 8))),
            Kind::AtomicUsize => Object::AtomicUsize(staged::AtomicUsize::new(value(at, 8) as usize)),
            Kind::Bytes => Object::Bytes(loom::cell::UnsafeCell::new(())),
            Kind::Bed => Object::Bed(loom::sync::Mutex::new(()), loom::sync::Condvar::new()),
        };
        objects.insert((at, kind), Box::new(object));
    }
    STAGE.set(Some(Stage { objects }));
    ON_STAGE.set(true);
}

/// All threads have ended: the real atomics get the values of loom's.
fn strike_stage() {
    ON_STAGE.set(false);
    let Some(stage) = STAGE.take() else { return };
    let ordered: BTreeMap<_, _> = stage.objects.iter().collect();
    for (&(at, _), object) in ordered {
        let put = |value: u64, bytes: usize| {
            // SAFETY: an atomic of so many bytes lies there, and nobody else runs any more.
            unsafe {
                core::ptr::copy_nonoverlapping(
                    value.to_ne_bytes().as_ptr(),
                    core::ptr::with_exposed_provenance_mut::<u8>(at),
                    bytes,
                );
            }
        };
        // SAFETY: the threads were joined.
        unsafe {
            match &**object {
                Object::AtomicBool(a) => put(u64::from(a.unsync_load()), 1),
                Object::AtomicU8(a) => put(u64::from(a.unsync_load()), 1),
                Object::AtomicU16(a) => put(u64::from(a.unsync_load()), 2),
                Object::AtomicU32(a) => put(u64::from(a.unsync_load()), 4),
                Object::AtomicU64(a) => put(a.unsync_load(), 8),
                Object::AtomicUsize(a) => put(a.unsync_load() as u64, 8),
                Object::Bytes(_) | Object::Bed(..) => {}
            }
        }
    }
}

/// One thread of a model.
pub(crate) type Part<S> = fn(&'static S);

/// Words of a thread's stack.
const STACK_WORDS: usize = 1 << 15;

/// Unwinds out of a search that must begin anew: an address was met that was not known.
struct Again;

fn run<S: Sync + 'static>(set: &'static S, parts: &'static [Part<S>], end: fn(&'static S)) {
    set_stage();
    let threads: std::vec::Vec<_> = parts
        .iter()
        .map(|part| {
            let body = move || part(set);
            let thread = loom::thread::Builder::new().stack_size(STACK_WORDS);
            thread.spawn(body).expect("a thread")
        })
        .collect();
    for thread in threads {
        thread.join().expect("no thread panics");
    }
    strike_stage();
    end(set);
}

/// Tries every order in which `parts` can run, with at most `preemptions` preemptions: `scene` sets the
/// scene, at the same addresses each time, `end` looks at what is left.
pub(crate) fn explore<S: Sync + 'static>(
    preemptions: usize,
    scene: fn() -> &'static S,
    parts: &'static [Part<S>],
    end: fn(&'static S),
) {
    KNOWN.with_borrow_mut(BTreeSet::clear);
    let mut bound = 0;
    loop {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(bound);
        builder.max_branches = 100_000;
        RUNS.set(0);
        let runs = move || {
            RUNS.set(RUNS.get() + 1);
            // What a run that failed left.
            ON_STAGE.set(false);
            STAGE.set(None);
            if MET.with_borrow(|met| !met.is_empty()) {
                std::panic::resume_unwind(Box::new(Again));
            }
            run(scene(), parts, end);
        };
        let all = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| builder.check(runs)));
        if let Err(why) = all
            && MET.with_borrow(BTreeSet::is_empty)
        {
            std::panic::resume_unwind(why);
        }
        let met = MET.take();
        if !met.is_empty() {
            KNOWN.with_borrow_mut(|known| known.extend(met));
        } else if bound == preemptions {
            std::println!("{} orders", RUNS.get());
            break;
        } else {
            bound += 1;
        }
    }
}
