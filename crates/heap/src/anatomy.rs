//! Where everything lies that a reader outside this process looks for (`neap_abi::anatomy`).
//!
//! Owns the table of fields, which holds what this build's compiler has laid out as it liked, and nothing
//! else: `crate::process` has the note by which it is found. What is laid out as C would is checked where
//! it is declared.

use crate::direct::Direct;
use crate::ground::Ground;
use crate::heap::Heap;
use crate::helper::Helper;
use crate::local::{Local, Thread};
use crate::outbox::Outbox;
use crate::pocket::Pocket;
use crate::quarantine::{Large, Quarantine};
use crate::registry::Registry;
use crate::tally::Tally;
use crate::tide::Tide;
use crate::window::Window;
use core::mem::offset_of;
use neap_abi::anatomy::{FIELDS, Field};
use neap_os::linux::Linux;

/// The table: an offset for each [`Field`].
pub(crate) static PLACES: [u32; FIELDS] = {
    let mut out = [u32::MAX; FIELDS];
    let ground = offset_of!(Heap<Linux>, ground);
    let tide = offset_of!(Heap<Linux>, tide);
    let quarantine = offset_of!(Heap<Linux>, quarantine);
    let out = &mut out;
    put_all(out, ground + offset_of!(Ground, window), &Window::FIELDS);
    put_all(out, offset_of!(Heap<Linux>, direct), &Direct::FIELDS);
    put_all(out, offset_of!(Heap<Linux>, tally), &Tally::FIELDS);
    put(out, Field::DirtyPages, ground + offset_of!(Ground, dirty));
    put(
        out,
        Field::Confined,
        quarantine + offset_of!(Quarantine, large) + Large::CELLS,
    );
    put(
        out,
        Field::HelperStack,
        tide + offset_of!(Tide, helper) + offset_of!(Helper, stack),
    );
    let registry = offset_of!(Heap<Linux>, registry);
    put(out, Field::Records, registry + offset_of!(Registry, records));
    put(out, Field::ThreadNext, offset_of!(Thread, next));
    put(out, Field::ThreadUser, offset_of!(Thread, user));
    put(
        out,
        Field::ThreadPocket,
        offset_of!(Thread, pocket) + Pocket::KEPT,
    );
    let [lists, stride, first, count] = Outbox::PLACES;
    put(out, Field::ThreadOutbox, offset_of!(Thread, outbox) + lists);
    put(out, Field::OutboxStride, stride);
    put(out, Field::OutboxFirst, first);
    put(out, Field::OutboxCount, count);
    // Place 0 of a hand is that of malloc(0).
    put(out, Field::LocalHands, Local::HEADS + size_of::<usize>());
    let mut n = 0;
    while n < FIELDS {
        assert!(out[n] != u32::MAX);
        n += 1;
    }
    *out
};

const fn put(out: &mut [u32; FIELDS], field: Field, offset: usize) {
    assert!(offset < u32::MAX as usize);
    out[field as usize] = offset as u32;
}

const fn put_all(out: &mut [u32; FIELDS], base: usize, fields: &[(Field, usize)]) {
    let mut n = 0;
    while n < fields.len() {
        put(out, fields[n].0, base + fields[n].1);
        n += 1;
    }
}
