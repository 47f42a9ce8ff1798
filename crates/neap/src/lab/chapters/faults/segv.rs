//! SIGSEGV, and what is not SIGBUS.
#![allow(unsafe_code, reason = "accesses to what is not mapped, and keys, in children")]

use std::ptr::with_exposed_provenance;

use neap_os::env::page_size;
use neap_os::mapping::{Prot, Request, unmap};
use neap_os::pkey::{self, Rights};

use crate::lab::area::{Area, free_room, one_page, private, shared};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, failed};

/// The si_codes of SIGSEGV.
pub(super) const CODES: Experiment = Experiment {
    name: "segv-maperr-accerr-pkuerr",
    chapter: Chapter::Faults,
    question: "What does SIGSEGV tell besides \"wrong address\"?",
    method: "In children read an address at which nothing is mapped, read a page of PROT_NONE, write to \
             a page of PROT_READ, call a page without PROT_EXEC and, where the processor has protection \
             keys, read a page whose key forbids it.",
    expectation: "si_code is SEGV_MAPERR, then SEGV_ACCERR three times, then SEGV_PKUERR; si_addr is the \
                  address to the byte.",
    explanation: "The kernel looks for an area around the address: if there is none, MAPERR; if its \
                  rights forbid the access, ACCERR; if only the key does, PKUERR. A handler that reads \
                  si_code and si_addr can tell a null pointer from a store to constants and from a full \
                  stack.",
    cannot_show: "Addresses that are no addresses (not canonical): x86 reports them without address and \
                  with the code SI_KERNEL.",
    source: "sigaction(2), si_code; arch/x86/mm/fault.c, bad_area.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/segv-maperr-accerr-pkuerr.c"),
    rust: include_str!("../../code/segv-maperr-accerr-pkuerr.rs"),
    run: codes,
};

/// Reads any address, in a child.
fn peek(address: usize) {
    // SAFETY: in a child, which the fault ends if nothing can be read there; a byte that can be read is
    // dropped.
    unsafe { with_exposed_provenance::<u8>(address).read_volatile() };
}

fn codes(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let with = |prot| {
        Area::new(&Request {
            prot,
            ..private(page)
        })
    };
    let hole = free_room(64 << 20)? + (32 << 20) + 5;
    let closed = with(Prot::NONE)?;
    let constant = with(Prot::READ)?;
    let data = with(Prot::READ | Prot::WRITE)?;
    data.store_function();
    hand.watch("PROT_NONE", closed.span());
    hand.watch("PROT_READ", constant.span());
    hand.watch("PROT_READ|PROT_WRITE", data.span());
    hand.look("three pages");
    let at_hole = hand.fault_of(|| peek(hole))?;
    let at_closed = hand.fault_of(|| {
        closed.load(1);
    })?;
    let at_constant = hand.fault_of(|| constant.store(2, 1))?;
    let at_data = hand.fault_of(|| data.call())?;
    for (what, code, address, fault) in [
        ("a load where nothing is", "SEGV_MAPERR", hole, at_hole),
        (
            "a load, PROT_NONE",
            "SEGV_ACCERR",
            closed.span().base() + 1,
            at_closed,
        ),
        (
            "a store, PROT_READ",
            "SEGV_ACCERR",
            constant.span().base() + 2,
            at_constant,
        ),
        ("a call, no PROT_EXEC", "SEGV_ACCERR", data.span().base(), at_data),
    ] {
        hand.expect_fault(what, code, fault);
        let is_exact = fault.is_some_and(|fault| fault.address == address);
        hand.expect(
            &format!("{what}: si_addr is the address"),
            "true",
            is_exact,
            is_exact,
        );
    }
    if pkey::rights(pkey::Key::DEFAULT).is_err() {
        hand.figure("protection keys", "this processor or kernel has none");
        return Ok(());
    }
    let key = pkey::alloc(Rights::All).map_err(failed("pkey_alloc"))?;
    let fault = hand.fault_of(|| {
        // SAFETY: (1) the page is the area's and the key this experiment's. (2) The only access after it is
        // the load below, whose fault is looked for. (1, 2) of `set_rights` likewise.
        let is_set = unsafe {
            pkey::protect(data.span(), Prot::READ | Prot::WRITE, key).is_ok()
                && pkey::set_rights(key, Rights::None).is_ok()
        };
        assert!(is_set, "the key can be used");
        data.load(0);
    })?;
    hand.expect_fault("a load, forbidden by the key alone", "SEGV_PKUERR", fault);
    Ok(())
}

/// The note's sentence about SIGBUS.
pub(super) const NOT_FOREIGN: Experiment = Experiment {
    name: "sigbus-is-not-foreign-memory",
    chapter: Chapter::Faults,
    question: "Is SIGBUS the signal for memory that is not the process's?",
    method: "In children read an address that only another process has mapped, an address of the kernel \
             (x86), and a page of the process's own mapping that lies past the end of its file.",
    expectation: "SIGSEGV (SEGV_MAPERR) for what is not the process's; SIGBUS (BUS_ADRERR) for its own \
                  mapping.",
    explanation: "The note says: SIGBUS, an access to memory that does not belong to the process. It is \
                  the other way round. What does not belong to the process has no area in it, and that \
                  is SIGSEGV. SIGBUS says that the area is there and allows the access, but the page \
                  behind it cannot be had: there is no such page in the file, the disk has failed, the \
                  pool is empty.",
    cannot_show: "SIGBUS for addresses that are not aligned, which x86 and ARM hardly know.",
    source: "Note 01, SIGBUS; mmap(2), SIGSEGV and SIGBUS; mm/filemap.c, filemap_fault.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/sigbus-is-not-foreign-memory.c"),
    rust: include_str!("../../code/sigbus-is-not-foreign-memory.rs"),
    run: not_foreign,
};

fn not_foreign(hand: &mut Hand) -> Result<(), Stop> {
    const KERNEL: usize = 0xffff_8000_0000_1000;
    let page = page_size();
    let file = one_page(hand)?;
    let own = Area::new(&shared(&file, 2 * page, Prot::READ))?;
    hand.watch("own", own.span());
    hand.look("two pages of a file of one");
    // The child gives its copy back: then only this process, its parent, has the page.
    let other = Area::new(&private(page))?;
    other.store(0, 7);
    let foreign = hand.fault_of(|| {
        // SAFETY: (1) the child's copy of the page is the area's. (2) The child uses it no more: the address
        // that it then reads is its parent's alone.
        let is_gone = unsafe { unmap(other.span()) }.is_ok();
        assert!(is_gone);
        peek(other.span().base());
    })?;
    let own_fault = hand.fault_of(|| {
        own.load(page);
    })?;
    hand.expect_fault("a page of another process, the parent", "SEGV_MAPERR", foreign);
    hand.expect_eq("the byte there, read by the parent", 7, other.load(0));
    if cfg!(target_arch = "x86_64") {
        let kernel = hand.fault_of(|| peek(KERNEL))?;
        hand.expect_fault("an address of the kernel", "SEGV_MAPERR", kernel);
    }
    hand.expect_fault(
        "its own mapping, past the end of the file",
        "BUS_ADRERR",
        own_fault,
    );
    Ok(())
}
