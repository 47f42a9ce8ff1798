//! Guarded accesses of one word: `load_u8` to `load_u64`, `store_u8` to `store_u64`, and atomic
//! read-modify-write. Each is one instruction (on aarch64, one loop of exclusive accesses) inlined into its
//! caller, with a [site](super::site) of its own: it costs what the plain access costs and a test of a
//! register.
//!
//! An aligned load or store is single-copy atomic and orders nothing (as `Relaxed`); the read-modify-write
//! functions order as `AcqRel` or stronger. Where the machine refuses an unaligned access, that is a fault.
#![allow(unsafe_code)]

use super::site::site;
use super::{Fault, fault};
use core::arch::asm;

macro_rules! load {
    ($name:ident, $type:ty, $raw:ty, $x86_64:literal, $aarch64:literal) => {
        /// Loads one word.
        ///
        /// # Errors
        /// What the kernel raised; the offset is 0.
        ///
        /// # Safety
        /// 1. Each byte of the word faults or may be read. Others may change it meanwhile.
        #[inline]
        pub unsafe fn $name(from: *const $type) -> Result<$type, Fault> {
            let (value, cause): ($raw, u64);
            // SAFETY: reads the word (1), or goes on behind the load with `cause` changed.
            unsafe {
                #[cfg(target_arch = "x86_64")]
                asm!("2:", $x86_64, "3:", site!("2b", "3b", "3b"), from = in(reg) from,
                    value = out(reg) value, inout("rdx") 0u64 => cause,
                    options(nostack, readonly, preserves_flags));
                #[cfg(target_arch = "aarch64")]
                asm!("2:", $aarch64, "3:", site!("2b", "3b", "3b"), from = in(reg) from,
                    value = out(reg) value, inout("x3") 0u64 => cause,
                    options(nostack, readonly, preserves_flags));
            }
            // What a narrow load leaves above the word is 0.
            if cause == 0 { Ok(value as $type) } else { Err(fault(cause, 0)) }
        }
    };
}

load!(
    load_u8,
    u8,
    u32,
    "movzx {value:e}, byte ptr [{from}]",
    "ldrb {value:w}, [{from}]"
);
load!(
    load_u16,
    u16,
    u32,
    "movzx {value:e}, word ptr [{from}]",
    "ldrh {value:w}, [{from}]"
);
load!(
    load_u32,
    u32,
    u32,
    "mov {value:e}, dword ptr [{from}]",
    "ldr {value:w}, [{from}]"
);
load!(
    load_u64,
    u64,
    u64,
    "mov {value:r}, qword ptr [{from}]",
    "ldr {value:x}, [{from}]"
);

macro_rules! store {
    ($name:ident, $type:ty, $raw:ty, $x86_64:literal, $aarch64:literal) => {
        /// Stores one word.
        ///
        /// # Errors
        /// What the kernel raised; the offset is 0.
        ///
        /// # Safety
        /// 1. Each byte of the word faults or may be written. Others may read or change it meanwhile.
        #[inline]
        pub unsafe fn $name(to: *mut $type, value: $type) -> Result<(), Fault> {
            let cause: u64;
            // SAFETY: writes the word (1), or goes on behind the store with `cause` changed.
            unsafe {
                #[cfg(target_arch = "x86_64")]
                asm!("2:", $x86_64, "3:", site!("2b", "3b", "3b"), to = in(reg) to,
                    value = in(reg) <$raw>::from(value),
                    inout("rdx") 0u64 => cause, options(nostack, preserves_flags));
                #[cfg(target_arch = "aarch64")]
                asm!("2:", $aarch64, "3:", site!("2b", "3b", "3b"), to = in(reg) to,
                    value = in(reg) <$raw>::from(value),
                    inout("x3") 0u64 => cause, options(nostack, preserves_flags));
            }
            if cause == 0 { Ok(()) } else { Err(fault(cause, 0)) }
        }
    };
}

store!(
    store_u8,
    u8,
    u32,
    "mov byte ptr [{to}], {value:l}",
    "strb {value:w}, [{to}]"
);
store!(
    store_u16,
    u16,
    u32,
    "mov word ptr [{to}], {value:x}",
    "strh {value:w}, [{to}]"
);
store!(
    store_u32,
    u32,
    u32,
    "mov dword ptr [{to}], {value:e}",
    "str {value:w}, [{to}]"
);
store!(
    store_u64,
    u64,
    u64,
    "mov qword ptr [{to}], {value:r}",
    "str {value:x}, [{to}]"
);

macro_rules! modify {
    ($exchange:ident, $add:ident, $type:ty, $cmpxchg:literal, $xadd:literal,
     [$($compare:literal)*], [$($sum:literal)*]) => {
        /// Stores `new` where `old` is. `Ok(Ok(old))` says that it did, `Ok(Err(now))` what was there
        /// instead.
        ///
        /// # Errors
        /// What the kernel raised, at the word's first byte. It has not been changed.
        ///
        /// # Safety
        /// 1. Each byte of the word faults or may be read and written. Others change it by atomic
        ///    accesses of this size only.
        #[inline]
        pub unsafe fn $exchange(
            at: *mut $type,
            old: $type,
            new: $type,
        ) -> Result<Result<$type, $type>, Fault> {
            let (now, cause): ($type, u64);
            // SAFETY: changes the word (1), or goes on behind with `cause` changed.
            unsafe {
                #[cfg(target_arch = "x86_64")]
                asm!("2:", $cmpxchg, "3:", site!("2b", "3b", "3b"), at = in(reg) at, new = in(reg) new,
                    inout("rax") old => now, inout("rdx") 0u64 => cause, options(nostack));
                #[cfg(target_arch = "aarch64")]
                asm!("2:", $($compare,)* "3:", site!("2b", "3b", "3b"), at = in(reg) at, new = in(reg) new,
                    old = in(reg) old, now = out(reg) now, failed = out(reg) _,
                    inout("x3") 0u64 => cause, options(nostack));
            }
            match cause {
                0 if now == old => Ok(Ok(now)),
                0 => Ok(Err(now)),
                _ => Err(fault(cause, 0)),
            }
        }

        /// Adds to the word, wrapping around, and returns what it was.
        ///
        /// # Errors
        /// What the kernel raised, at the word's first byte. It has not been changed.
        ///
        /// # Safety
        /// 1. Each byte of the word faults or may be read and written. Others change it by atomic
        ///    accesses of this size only.
        #[inline]
        pub unsafe fn $add(at: *mut $type, value: $type) -> Result<$type, Fault> {
            let (before, cause): ($type, u64);
            // SAFETY: changes the word (1), or goes on behind with `cause` changed.
            unsafe {
                #[cfg(target_arch = "x86_64")]
                asm!("2:", $xadd, "3:", site!("2b", "3b", "3b"), at = in(reg) at,
                    value = inout(reg) value => before, inout("rdx") 0u64 => cause, options(nostack));
                #[cfg(target_arch = "aarch64")]
                asm!("2:", $($sum,)* "3:", site!("2b", "3b", "3b"), at = in(reg) at, value = in(reg) value,
                    before = out(reg) before, after = out(reg) _, failed = out(reg) _,
                    inout("x3") 0u64 => cause, options(nostack));
            }
            if cause == 0 { Ok(before) } else { Err(fault(cause, 0)) }
        }
    };
}

modify!(
    compare_exchange_u32, fetch_add_u32, u32,
    "lock cmpxchg dword ptr [{at}], {new:e}",
    "lock xadd dword ptr [{at}], {value:e}",
    ["ldaxr {now:w}, [{at}]" "cmp {now:w}, {old:w}" "b.ne 3f"
     "stlxr {failed:w}, {new:w}, [{at}]" "cbnz {failed:w}, 2b"],
    ["ldaxr {before:w}, [{at}]" "add {after:w}, {before:w}, {value:w}" "stlxr {failed:w}, {after:w}, [{at}]"
     "cbnz {failed:w}, 2b"]
);
modify!(
    compare_exchange_u64, fetch_add_u64, u64,
    "lock cmpxchg qword ptr [{at}], {new:r}",
    "lock xadd qword ptr [{at}], {value:r}",
    ["ldaxr {now:x}, [{at}]" "cmp {now:x}, {old:x}" "b.ne 3f"
     "stlxr {failed:w}, {new:x}, [{at}]" "cbnz {failed:w}, 2b"],
    ["ldaxr {before:x}, [{at}]" "add {after:x}, {before:x}, {value:x}" "stlxr {failed:w}, {after:x}, [{at}]"
     "cbnz {failed:w}, 2b"]
);
