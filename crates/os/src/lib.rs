//! neap-os (being written)
#![no_std]
#![deny(unsafe_code)]
pub mod unit;
pub mod errno;
pub mod vm;
