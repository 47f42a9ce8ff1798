//! [`Nudged`]: a simulated kernel in which other threads get their turn in the middle of a call.
//!
//! The heap gives memory back without a lock held, so anything may happen between the moment pages leave
//! the maps and the moment they return. A hook called at each discard makes it happen, one thread of the
//! operating system playing all of them, so that what goes wrong can be repeated and shrunk.

#![allow(unsafe_code)]

use super::oracle::World;
use crate::heap::Heap;
use crate::sync::Token;
use crate::tide::Reach;
use neap_os::errno::Errno;
use neap_os::sim::Sim;
use neap_os::unit::{Bytes, Span};
use neap_os::vm::{Hint, Protection, Vm};
use std::cell::Cell;

pub(super) struct Nudged(pub(super) Sim);

/// What is to be called, and with what.
type Hook = Option<(unsafe fn(*mut ()), *mut ())>;

std::thread_local! {
    static HOOK: Cell<Hook> = const { Cell::new(None) };
}

/// Has `nudge` called with `with` at each discard that this thread asks for while `body` runs, except
/// inside `nudge` itself.
///
/// # Safety
/// 1. `nudge` may be called with `with` as long as `body` runs.
unsafe fn with_hook(nudge: unsafe fn(*mut ()), with: *mut (), body: impl FnOnce()) {
    HOOK.set(Some((nudge, with)));
    body();
    HOOK.set(None);
}

impl Vm for Nudged {
    fn page_size(&self) -> Bytes {
        self.0.page_size()
    }
    fn map(&self, len: Bytes) -> Result<Span, Errno> {
        self.0.map(len)
    }
    fn map_at(&self, want: Span) -> Result<(), Errno> {
        self.0.map_at(want)
    }
    fn reserve(&self, len: Bytes) -> Result<Span, Errno> {
        self.0.reserve(len)
    }
    unsafe fn unmap(&self, span: Span) -> Result<(), Errno> {
        // SAFETY: the same method with the same conditions; so below.
        unsafe { self.0.unmap(span) }
    }
    unsafe fn protect(&self, span: Span, protection: Protection) -> Result<(), Errno> {
        // SAFETY: as in `unmap`.
        unsafe { self.0.protect(span, protection) }
    }
    unsafe fn remap(&self, old: Span, new_len: Bytes) -> Result<Span, Errno> {
        // SAFETY: as in `unmap`.
        unsafe { self.0.remap(old, new_len) }
    }
    unsafe fn move_pages(&self, from: Span, to: Span) -> Result<(), Errno> {
        // SAFETY: as in `unmap`.
        unsafe { self.0.move_pages(from, to) }
    }
    unsafe fn discard(&self, span: Span) -> Result<(), Errno> {
        let hook = HOOK.replace(None);
        if let Some((nudge, with)) = hook {
            // SAFETY: `with_hook` (1): its body is running, and has called this.
            unsafe { nudge(with) };
        }
        // SAFETY: as in `unmap`.
        let done = unsafe { self.0.discard(span) };
        if let Some((nudge, with)) = hook {
            // SAFETY: as above.
            unsafe { nudge(with) };
        }
        HOOK.set(hook);
        done
    }
    fn hint(&self, span: Span, hint: Hint) -> Result<(), Errno> {
        self.0.hint(span, hint)
    }
    fn program_break(&self) -> usize {
        self.0.program_break()
    }
    unsafe fn move_break(&self, from: usize, to: usize) -> Result<(), Errno> {
        // SAFETY: as in `unmap`.
        unsafe { self.0.move_break(from, to) }
    }
}

impl World {
    /// One tick, in the middle of which other threads do what `meanwhile` says.
    pub(super) fn tick(&mut self) {
        let me: *mut World = self;
        // SAFETY: the heap lies in a box that stays where it is; what the nudges change of the world
        // lies beside it.
        let heap: &Heap<Nudged> = unsafe { &*core::ptr::from_ref(&*(*me).heap) };
        // SAFETY: until the tick is over the world is used by the nudges alone (1).
        unsafe {
            with_hook(World::nudge, me.cast(), || {
                heap.tick(Token::HELPER, Reach::Old);
            })
        };
    }

    /// Another thread's turn, unless the tide holds the lock that it would wait for.
    ///
    /// # Safety
    /// 1. `world` is a `World` that nobody else uses at this moment.
    unsafe fn nudge(world: *mut ()) {
        // SAFETY: the caller's (1).
        let world = unsafe { &mut *world.cast::<World>() };
        let token = world.locals[0].token();
        if world.heap.ground.lock.try_lock(token).is_some() {
            for action in world.meanwhile.pop().unwrap_or_default() {
                world.step(&action, world.calls());
            }
        }
    }
}
