//! One of `neap_fuzz::TARGETS` under libFuzzer, the one that the variable `NEAP_FUZZ_TARGET` names.
#![no_main]

use std::sync::LazyLock;

static RUN: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("NEAP_FUZZ_TARGET").unwrap_or_default();
    let named = neap_fuzz::TARGETS.iter().find(|target| target.0 == name);
    match named {
        Some((_, run)) => *run,
        None => panic!("NEAP_FUZZ_TARGET={name:?} is no target"),
    }
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| RUN(bytes));
