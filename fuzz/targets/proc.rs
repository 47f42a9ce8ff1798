//! `neap_fuzz::proc` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| neap_fuzz::proc::run(bytes));
