//! The monotonic clock in nanoseconds, through the C library so that it is read in user space (vDSO).
//!
//! Never fails and never enters the kernel where the vDSO serves the clock. Safe in a signal
//! handler. Not for a helper thread whose thread pointer is not the C library's: neither reads it
//! today, but nothing promises so.
#![allow(unsafe_code)]

use core::ffi::c_int;

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

const CLOCK_MONOTONIC: c_int = 1;
const CLOCK_MONOTONIC_COARSE: c_int = 6;

#[link(name = "c")]
unsafe extern "C" {
    fn clock_gettime(clock: c_int, now: *mut Timespec) -> c_int;
}

fn read(clock: c_int) -> u64 {
    let mut now = Timespec {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: `now` is a live timespec of the 64-bit ABI (two i64), which is all that
    // clock_gettime writes to.
    unsafe { clock_gettime(clock, &raw mut now) };
    // Monotonic time is never negative, and 2^64 ns is 584 years of uptime.
    now.seconds
        .cast_unsigned()
        .wrapping_mul(1_000_000_000)
        .wrapping_add(now.nanoseconds.cast_unsigned())
}

/// CLOCK_MONOTONIC in nanoseconds: exact, about 20 ns to read.
#[must_use]
pub fn monotonic_ns() -> u64 {
    read(CLOCK_MONOTONIC)
}

/// CLOCK_MONOTONIC_COARSE in nanoseconds (since 2.6.32): the value at the last timer tick, so up to
/// 10 ms behind (CONFIG_HZ=100), and some 5 ns to read.
#[must_use]
pub fn monotonic_coarse_ns() -> u64 {
    read(CLOCK_MONOTONIC_COARSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn both_clocks_advance_together() {
        let (exact, coarse) = (monotonic_ns(), monotonic_coarse_ns());
        std::thread::sleep(Duration::from_millis(30));
        let (exact_later, coarse_later) = (monotonic_ns(), monotonic_coarse_ns());
        assert!(exact_later - exact >= 30_000_000);
        assert!(coarse_later - coarse >= 10_000_000);
        assert!(exact_later >= coarse_later);
    }
}
