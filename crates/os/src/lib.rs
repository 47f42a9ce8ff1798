//! neap-os: Linux memory calls as typed values, for code that may not allocate.
//!
//! It owns the raw system calls, the units they are reckoned in and the [`vm::Vm`] seam between
//! neap and the kernel. It is `no_std`, without `alloc` and without dependencies, because the
//! allocator stands on it. The few C library functions it calls (`sbrk`, `clock_gettime`,
//! `getauxval`, the pthread hooks, `abort`) are those whose state the C library shares with the
//! program; everything else goes to the kernel directly and leaves `errno` alone.
//!
//! It does not:
//! - allocate, lock, log or read a configuration of its own accord;
//! - decide anything: sizes, ages and fallbacks belong to `neap-heap` and `neap-map`;
//! - own memory: a [`unit::Span`] is two numbers, and whoever holds it answers for it;
//! - wrap files, sockets or processes beyond what shared memory needs;
//! - run on anything but 64-bit Linux, `x86_64` and `aarch64`.
//!
//! The modules are listed bottom-up: each may use those above it.
#![no_std]
#![deny(unsafe_code)]

#[cfg(not(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
compile_error!("neap-os runs on 64-bit Linux, x86_64 and aarch64");

#[cfg(test)]
extern crate std;

#[cfg(test)]
mod child;

pub mod unit;

pub mod errno;

pub mod syscall;

pub mod clock;

pub mod env;

pub mod credential;

pub mod futex;

pub mod fd;

pub mod vm;

pub mod advice;

mod brk;

pub mod linux;

pub mod mapping;

pub mod pkey;

pub mod residency;

pub mod page_cache;

pub mod pagemap;

pub mod lock;

pub mod seal;

pub mod sysv;

pub mod sync;

pub mod name;

pub mod share;

pub mod memfd;

pub mod limit;

pub mod thread;

pub mod transfer;

pub mod robust;

pub mod trace;

pub mod out;

pub mod fault;

pub mod attempt;

pub mod sim;
