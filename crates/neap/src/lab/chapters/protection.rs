//! What may be done with the bytes.
#![allow(unsafe_code, reason = "experiments seal, guard and unmap by hand")]

use neap_os::advice::{Guard, guard};
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::mapping::{Move, Old, Place, Prot, Request, map, remap, unmap};
use neap_os::pkey;
use neap_os::seal::seal;
use neap_os::unit::Bytes;

use super::flags::fill::quarter_of_memory;
use crate::lab::area::{Area, private};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, failed};

pub(super) const ALL: &[&Experiment] = &[&RIGHTS, &EXECUTE_ONLY, &SPLITS, &CHARGES, &GUARDS, &SEAL];

/// PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC.
const RIGHTS: Experiment = Experiment {
    name: "prot-none-read-write-exec",
    chapter: Chapter::Protection,
    question: "Which accesses does each protection allow?",
    method: "A page with a function that does nothing is given each protection in turn; in children it \
             is read, written and called.",
    expectation: "What is not allowed is SIGSEGV (SEGV_ACCERR), with one surprise: PROT_WRITE alone can \
                  be read.",
    explanation: "The kernel turns the rights into page table bits, and the processors have no bit for \
                  \"may be written, but not read\": writable pages are readable. Reading is the presence \
                  of the page, writing one bit, and not executing another (NX). ACCERR says that the \
                  area is there and its protection forbids the access.",
    cannot_show: "Processors without NX, on which whatever could be read could be executed.",
    source: "Note 01, PROT_EXEC, READ, WRITE, NONE; mmap(2); arch/x86/mm/pgprot.c.",
    since: None,
    under: Under::Plain,
    c: include_str!("../code/prot-none-read-write-exec.c"),
    rust: include_str!("../code/prot-none-read-write-exec.rs"),
    run: rights,
};

fn rights(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let area = Area::new(&private(page))?;
    hand.watch("the page", area.span());
    area.store_function();
    let (r, w, x) = (Prot::READ, Prot::WRITE, Prot::EXEC);
    let table = [
        ("PROT_NONE", Prot::NONE, [false, false, false]),
        ("PROT_READ", r, [true, false, false]),
        ("PROT_WRITE", w, [true, true, false]),
        ("PROT_READ|PROT_WRITE", r | w, [true, true, false]),
        ("PROT_READ|PROT_EXEC", r | x, [true, false, true]),
    ];
    for (name, prot, allowed) in table {
        area.protect(0..page, prot).map_err(failed("mprotect"))?;
        hand.look(name);
        let load = hand.fault_of(|| {
            area.load(0);
        })?;
        let store = hand.fault_of(|| area.store(page - 1, 1))?;
        let call = hand.fault_of(|| area.call())?;
        for ((what, fault), is_allowed) in [("load", load), ("store", store), ("call", call)]
            .into_iter()
            .zip(allowed)
        {
            let what = format!("{name}: {what}");
            match is_allowed {
                true => hand.expect_no_fault(&what, fault),
                false => hand.expect_fault(&what, "SEGV_ACCERR", fault),
            }
        }
    }
    Ok(())
}

/// PROT_EXEC alone.
const EXECUTE_ONLY: Experiment = Experiment {
    name: "exec-alone-is-execute-only-by-a-key",
    chapter: Chapter::Protection,
    question: "Can code with PROT_EXEC alone be read?",
    method: "Give a page with a function PROT_EXEC alone; call it and read it in children.",
    expectation: "It can be called. Where the processor has protection keys a load is SIGSEGV \
                  (SEGV_PKUERR); an x86 without them lets it be read.",
    explanation: "x86's page tables cannot say \"execute, but do not read\". With protection keys (4.9) \
                  the kernel keeps one key for this: mprotect puts it on the page, and every thread's \
                  key register forbids its loads and stores, while instruction fetches are not checked \
                  against keys. Without keys the page gets PROT_READ silently. ARM has the right in its \
                  page tables, on processors with EPAN.",
    cannot_show: "Both outcomes on one machine. VmFlags or maps do not tell them apart: only an access \
                  does.",
    source: "mprotect(2); pkeys(7); arch/x86/mm/pkeys.c, execute_only_pkey.",
    since: Some((4, 9)),
    under: Under::Plain,
    c: include_str!("../code/exec-alone-is-execute-only-by-a-key.c"),
    rust: include_str!("../code/exec-alone-is-execute-only-by-a-key.rs"),
    run: execute_only,
};

fn execute_only(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let area = Area::new(&private(page))?;
    hand.watch("the page", area.span());
    area.store_function();
    let has_keys = pkey::rights(pkey::Key::DEFAULT).is_ok();
    hand.look("a function in it, read and write");
    area.protect(0..page, Prot::EXEC).map_err(failed("mprotect"))?;
    hand.look("PROT_EXEC alone");
    let call = hand.fault_of(|| area.call())?;
    let load = hand.fault_of(|| {
        area.load(0);
    })?;
    hand.figure("the processor has protection keys", has_keys);
    hand.expect_no_fault("a call", call);
    if has_keys {
        hand.expect_fault("a load", "SEGV_PKUERR", load);
    } else if cfg!(target_arch = "x86_64") {
        hand.expect_no_fault("a load", load);
    } else {
        let found = load.map_or_else(|| "no fault".to_owned(), |fault| fault.to_string());
        hand.figure("a load", found);
    }
    Ok(())
}

/// mprotect of a part.
const SPLITS: Experiment = Experiment {
    name: "mprotect-splits-and-merges",
    chapter: Chapter::Protection,
    question: "What does mprotect of a part do to the mapping?",
    method: "Of three written pages make the middle one PROT_READ, then PROT_READ|PROT_WRITE again.",
    expectation: "One line of maps becomes three and one again; every byte stays.",
    explanation: "An area is a range with one set of rights, so a part with others needs an area of its \
                  own, and its two neighbours become areas, too. When the rights are equal again, the \
                  kernel merges what touches and is alike. Each area counts towards vm.max_map_count, \
                  which is why protecting every second page ends in ENOMEM.",
    cannot_show: "What it costs: each area is about 200 bytes of the kernel and each change a flush of \
                  the TLB.",
    source: "mprotect(2); mm/mprotect.c, mprotect_fixup; mm/vma.c, vma_merge_existing_range.",
    since: None,
    under: Under::Plain,
    c: include_str!("../code/mprotect-splits-and-merges.c"),
    rust: include_str!("../code/mprotect-splits-and-merges.rs"),
    run: splits,
};

fn splits(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let three = Area::new(&private(3 * page))?;
    hand.watch("three pages", three.span());
    three.store_in_pages(7);
    let before = hand.look("three pages are written");
    let narrowed = three.protect(page..2 * page, Prot::READ);
    let split = hand.look("the middle one is PROT_READ");
    let fault = hand.fault_of(|| three.store(page, 1))?;
    let widened = three.protect(page..2 * page, Prot::READ | Prot::WRITE);
    let after = hand.look("it is PROT_READ|PROT_WRITE again");
    hand.expect_ok("mprotect to PROT_READ", narrowed);
    hand.expect_eq("mappings more then", 2, split.mappings() - before.mappings());
    hand.expect_fault("a store to the middle", "SEGV_ACCERR", fault);
    hand.expect_ok("mprotect back", widened);
    hand.expect_eq("mappings more then", 0, after.mappings() - before.mappings());
    hand.expect_eq("pages that have their byte", 3, three.pages_with(7));
    Ok(())
}

/// What a read-only mapping costs when it becomes writable.
const CHARGES: Experiment = Experiment {
    name: "mprotect-to-writable-is-charged",
    chapter: Chapter::Protection,
    question: "When is private memory that is mapped read-only counted as promised?",
    method: "Map a quarter of the machine's memory PROT_READ, make it writable and read-only again, \
             untouched; then writable, write one byte, and read-only again.",
    expectation: "The area is counted from mprotect on, no more when it is read-only again and nothing \
                  was written (Linux 6.7), and for good once one byte was: the flag ac comes and goes, \
                  and Committed_AS with it.",
    explanation: "What can only be read needs no memory of its own, so the kernel promises nothing for \
                  it. With PROT_WRITE every page may be copied or filled, and the whole area is counted \
                  at that moment: this is why mprotect can fail with ENOMEM. On the way back an area \
                  without a single page of its own is uncounted; with one, all of it stays counted, \
                  because the kernel does not look which pages were written. An area that merges with a \
                  written neighbour counts as written, too.",
    cannot_show: "Committed_AS is everybody's: what it rose by is told and not judged. The refusal \
                  itself: the chapter on overcommit shows where the limit is.",
    source: "mprotect(2), ENOMEM; mm/mprotect.c, mprotect_fixup.",
    since: None,
    under: Under::Plain,
    c: include_str!("../code/mprotect-to-writable-is-charged.c"),
    rust: include_str!("../code/mprotect-to-writable-is-charged.rs"),
    run: charges,
};

fn charges(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let len = quarter_of_memory()?;
    let start = hand.look("before");
    // A page of PROT_NONE on either side, which is not counted, keeps it from merging with others.
    let room = Area::new(&Request {
        prot: Prot::NONE,
        ..private(len + 2 * page)
    })?;
    hand.watch("the area", room.part(page..page + len));
    let mut set = |prot, label| {
        room.protect(page..page + len, prot)
            .map_err(failed("mprotect"))
            .map(|()| hand.look(label))
    };
    let (read, write) = (Prot::READ, Prot::READ | Prot::WRITE);
    let mapped = set(read, "PROT_READ")?;
    let writable = set(write, "PROT_READ|PROT_WRITE")?;
    let back = set(read, "PROT_READ again, untouched")?;
    set(write, "PROT_READ|PROT_WRITE again")?;
    room.store(page, 7);
    let stays = set(read, "PROT_READ again, one byte was written")?;
    let kb = len as u64 / 1024;
    let is_uncounted = hand.has_kernel(6, 7);
    for (what, seen, is_charged) in [
        ("PROT_READ", mapped, false),
        ("writable", writable, true),
        ("PROT_READ again, untouched", back, !is_uncounted),
        ("PROT_READ again, one byte written", stays, true),
    ] {
        let more = seen.committed_kb().saturating_sub(start.committed_kb());
        let line = format!("{what}: Committed_AS more than at first");
        hand.figure(&line, format!("{more} kB, of {kb} kB"));
        let line = format!("{what}: the flag ac");
        hand.expect_eq(&line, is_charged, seen.span(0).has_flag("ac"));
    }
    Ok(())
}

/// Guard pages by madvise and by mprotect.
const GUARDS: Experiment = Experiment {
    name: "guard-pages-or-prot-none",
    chapter: Chapter::Protection,
    question: "What does a guard page cost: one area or three?",
    method: "Make the middle of three pages untouchable, once with mprotect(PROT_NONE) and once with \
             madvise(MADV_GUARD_INSTALL); touch it in children.",
    expectation: "PROT_NONE makes three areas of one and faults with SEGV_ACCERR; the guard leaves one \
                  area and faults with SEGV_MAPERR (Linux 6.13).",
    explanation: "Rights belong to areas, so PROT_NONE splits. A guard is a mark in the page table: the \
                  area stays whole, no limit of maps is touched, and a thousand threads' stacks need a \
                  thousand areas less. The fault says MAPERR, as if nothing were mapped there. The guard \
                  drops what was in the page; PROT_NONE keeps it.",
    cannot_show: "How much faster it is: a program that starts threads by the thousand would.",
    source: "madvise(2), MADV_GUARD_INSTALL; mm/madvise.c, madvise_guard_install.",
    since: Some((6, 13)),
    under: Under::Plain,
    c: include_str!("../code/guard-pages-or-prot-none.c"),
    rust: include_str!("../code/guard-pages-or-prot-none.rs"),
    run: guards,
};

fn guards(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let three = Area::new(&private(3 * page))?;
    hand.watch("three pages", three.span());
    three.store_in_pages(7);
    let before = hand.look("three pages are written");
    let middle = page..2 * page;
    three
        .protect(middle.clone(), Prot::NONE)
        .map_err(failed("mprotect"))?;
    let closed = hand.look("the middle one is PROT_NONE");
    let touch = || {
        three.load(page);
    };
    let at_closed = hand.fault_of(touch)?;
    three
        .protect(middle.clone(), Prot::READ | Prot::WRITE)
        .map_err(failed("mprotect"))?;
    let kept = three.load(page);
    // SAFETY: (1) the middle page is the area's. (2) Its byte was read above and is needed no more.
    unsafe { guard(three.part(middle.clone()), Guard::Install) }.map_err(failed("MADV_GUARD_INSTALL"))?;
    let guarded = hand.look("the middle one is a guard");
    let at_guard = hand.fault_of(touch)?;
    // SAFETY: as above.
    let removed = unsafe { guard(three.part(middle), Guard::Remove) };
    hand.expect_eq(
        "PROT_NONE: mappings more",
        2,
        closed.mappings() - before.mappings(),
    );
    hand.expect_fault("PROT_NONE: a load", "SEGV_ACCERR", at_closed);
    hand.expect_eq("PROT_NONE: the byte afterwards", 7, kept);
    hand.expect_eq("guard: mappings more", 0, guarded.mappings() - before.mappings());
    hand.expect_fault("guard: a load", "SEGV_MAPERR", at_guard);
    hand.expect_ok("MADV_GUARD_REMOVE", removed);
    hand.expect_eq("guard: the byte afterwards", 0, three.load(page));
    Ok(())
}

/// mseal.
const SEAL: Experiment = Experiment {
    name: "mseal-keeps-the-map-as-it-is",
    chapter: Chapter::Protection,
    question: "What can nobody do to a sealed mapping?",
    method: "Seal a page; try mprotect, munmap, mremap and MAP_FIXED over it; write to it.",
    expectation: "EPERM each time; the store works (Linux 6.10).",
    explanation: "mseal freezes where a mapping is and what may be done with it, for the life of the \
                  process, even for root: an attacker who can make system calls cannot turn a sealed \
                  read-only table into a writable one. It says nothing of the bytes: what was writable \
                  stays writable, which is why a table is made read-only first.",
    cannot_show: "The end of the seal, which is the process's.",
    source: "mseal(2); Documentation/userspace-api/mseal.rst; mm/mseal.c.",
    since: Some((6, 10)),
    under: Under::Plain,
    c: include_str!("../code/mseal-keeps-the-map-as-it-is.c"),
    rust: include_str!("../code/mseal-keeps-the-map-as-it-is.rs"),
    run: sealed,
};

fn sealed(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let area = Area::new(&private(page))?;
    hand.watch("the page", area.span());
    area.store(0, 7);
    hand.look("before mseal");
    // SAFETY: (1) the page is the area's, which counts on nothing but that its end is the process's then.
    unsafe { seal(area.span()) }.map_err(failed("mseal"))?;
    let protected = area.protect(0..page, Prot::READ);
    let over = Request {
        place: Place::Over(area.span().base()),
        ..private(page)
    };
    // SAFETY: (1) of `map`, (1, 2) of `unmap`, (1, 2) of `remap`: the page is the area's; nothing is used of
    // what is lost if the kernel should allow one of them: the experiment has differed then, and the
    // store below may fault.
    let (moved, replaced, unmapped) = unsafe {
        (
            remap(area.span(), Bytes(2 * page), Move::May, Old::Unmap),
            map(&over),
            unmap(area.span()),
        )
    };
    hand.look("after mprotect, mremap, MAP_FIXED and munmap");
    hand.expect_errno("mprotect", Errno::EPERM, protected);
    hand.expect_errno("mremap", Errno::EPERM, moved);
    hand.expect_errno("mmap with MAP_FIXED", Errno::EPERM, replaced);
    hand.expect_errno("munmap", Errno::EPERM, unmapped);
    let store = hand.fault_of(|| area.store(0, 8))?;
    hand.expect_no_fault("a store", store);
    Ok(())
}
