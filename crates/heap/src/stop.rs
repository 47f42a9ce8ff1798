//! [`stop`]: the one way the heap ends a program that broke it.
//!
//! Owns the wording. One line on standard error by one write(2), then abort(3): no allocation, no
//! unwinding, no return.

use crate::class::Class;
#[cfg(not(test))]
use neap_os::out::Line;

/// What the program did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The block is free already.
    DoubleFree,
    /// The address was never handed out: not the heap's memory.
    ForeignFree,
    /// The address lies inside a block, not at its start.
    InteriorFree,
    /// Bytes after a block were overwritten.
    Overflow,
    /// A freed block was written to.
    WriteAfterFree,
    /// The size or alignment given to free_sized or delete is not that of the block.
    WrongSize,
}

impl Fault {
    const fn text(self) -> &'static str {
        match self {
            Fault::DoubleFree => "double free",
            Fault::ForeignFree => "free of a foreign pointer",
            Fault::InteriorFree => "free of an interior pointer",
            Fault::Overflow => "write past the end of a block",
            Fault::WriteAfterFree => "write after free",
            Fault::WrongSize => "free with the wrong size or alignment",
        }
    }
}

/// Prints what happened at `address`, which belongs to `class` if it is known, and aborts.
#[cold]
#[inline(never)]
pub(crate) fn stop(fault: Fault, address: usize, class: Option<Class>) -> ! {
    // In the crate's own tests a fault is a finding, to be caught and shrunk.
    #[cfg(test)]
    panic!("{} at {address:#x} ({class:?})", fault.text());
    #[cfg(not(test))]
    report(fault, address, class)
}

#[cfg(not(test))]
fn report(fault: Fault, address: usize, class: Option<Class>) -> ! {
    let mut line = Line::new();
    line.text("neap: ").text(fault.text()).text(" at ").hex(address);
    if let Some(class) = class {
        line.text(" (size class ")
            .dec(class.size() as u64)
            .text(" bytes)");
    } else {
        line.text(" (no size class)");
    }
    line.text("\n").emit(2);
    neap_os::out::abort()
}
