//! The sites: which instructions may fault, and where the thread goes on if they do.
//!
//! Each guarded access, inlined wherever it is, puts an entry into the section `neap_fixups` of the
//! executable or shared object that it is linked into; the linker puts them next to each other. The
//! handler reads the entries of its own object only, so two copies of neap in one process do not know
//! each other's sites, and neap-os must be linked as an rlib (cargo's default), not as a Rust dylib.
//!
//! The contract of a site: if one of its instructions faults, the register [`CAUSE`] gets the cause and
//! the thread goes on at the entry's target. Everything else is as the instruction found it. The section
//! is read-only, needs no relocation at run time, and is absent where nothing is guarded.
#![allow(unsafe_code)]

#[cfg(target_arch = "aarch64")]
use super::aarch64 as arch;
#[cfg(target_arch = "x86_64")]
use super::x86_64 as arch;
use arch::{CAUSE, FIRST_REGISTER, PC, TRAP};
use core::ffi::c_void;
use core::ptr::with_exposed_provenance;

/// An entry for the instructions from label `$start` up to `$end`, which go on at `$target`. Without a
/// `$function` it is kept whatever refers to it (SHF_GNU_RETAIN, "R"): --gc-sections sees no reference. With
/// the symbol of a naked function, which the compiler never drops by itself, it goes where that one goes
/// (SHF_LINK_ORDER, "o").
macro_rules! site {
    ($start:literal, $end:literal, $target:literal) => {
        site!(@"\"aR\", %progbits", $start, $end, $target)
    };
    ($start:literal, $end:literal, $target:literal, of $function:literal) => {
        site!(@concat!("\"ao\", %progbits, ", $function), $start, $end, $target)
    };
    (@$flags:expr, $start:literal, $end:literal, $target:literal) => {
        concat!(
            ".pushsection neap_fixups, ",
            $flags,
            "\n.balign 4\n",
            ".4byte ",
            $start,
            " - .\n.4byte ",
            $end,
            " - .\n.4byte ",
            $target,
            " - .\n",
            ".popsection"
        )
    };
}
pub(super) use site;

/// One entry: distances from each field to what it names.
#[repr(C)]
#[derive(Clone, Copy)]
struct Entry {
    start: i32,
    end: i32,
    target: i32,
}

const START: usize = core::mem::offset_of!(Entry, start);
const END: usize = core::mem::offset_of!(Entry, end);
const TARGET: usize = core::mem::offset_of!(Entry, target);

/// Where the thread goes on if the instruction at `counter` faults.
fn target_of(counter: usize) -> Option<usize> {
    let (mut at, end) = arch::table();
    while at < end {
        // SAFETY: the linker laid the section out from entries of this form; it is never written.
        let entry = unsafe { with_exposed_provenance::<Entry>(at).read() };
        let field = |offset: usize, distance: i32| (at + offset).wrapping_add_signed(distance as isize);
        if field(START, entry.start) <= counter && counter < field(END, entry.end) {
            return Some(field(TARGET, entry.target));
        }
        at += size_of::<Entry>();
    }
    None
}

/// The registers that interrupted code resumes with, in the kernel's ucontext.
pub(super) struct Registers(*mut usize);

impl Registers {
    /// # Safety
    /// 1. `context` is the third argument of a signal handler, and the handler has not returned.
    pub(super) unsafe fn of(context: *mut c_void) -> Registers {
        // SAFETY: the registers lie inside the ucontext (1).
        Registers(unsafe { context.cast::<usize>().add(FIRST_REGISTER) })
    }

    /// The processor's number of the trap that the thread took last, where the machine has such numbers.
    pub(super) fn trap(&self) -> usize {
        // SAFETY: TRAP is one of the ucontext's registers, by the condition of `of`.
        unsafe { self.0.add(TRAP).read() }
    }

    /// If the interrupted instruction belongs to a site, has the thread go on at its target with `cause`.
    /// Says whether it does.
    ///
    /// # Safety
    /// 1. The instruction that these registers point to raised the signal that is being handled.
    pub(super) unsafe fn leave_site(self, cause: u64) -> bool {
        // SAFETY: PC is one of the ucontext's registers, by the condition of `of`.
        let counter = unsafe { self.0.add(PC).read() };
        let Some(target) = target_of(counter) else {
            return false;
        };
        // SAFETY: both are registers of the ucontext. The site's code expects CAUSE to change when one
        // of its instructions faults (1), and goes on at its target then.
        unsafe {
            self.0.add(CAUSE).write(cause as usize);
            self.0.add(PC).write(target);
        }
        true
    }
}

#[cfg(test)]
pub(super) fn count() -> usize {
    let (start, end) = arch::table();
    assert_eq!((end - start) % size_of::<Entry>(), 0);
    (end - start) / size_of::<Entry>()
}
