//! `neap_fuzz::heap` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| neap_fuzz::heap::run(bytes));
