//! The start and the end of the process, as the dynamic linker calls them.
#![allow(unsafe_code)]

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

#[used]
#[unsafe(link_section = ".fini_array")]
static FINISH: extern "C" fn() = finish;

extern "C" fn start() {
    neap_heap::guard_credentials();
    neap_heap::start();
}

extern "C" fn finish() {
    neap_heap::finish();
}
