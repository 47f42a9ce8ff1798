//! mallopt(3) and malloc_trim(3).
#![allow(unsafe_code)]

use core::ffi::c_int;
use neap_heap::Setting;

/// mallopt(3): 1 when the parameter is known and the value allowed. M_MMAP_THRESHOLD, M_MMAP_MAX,
/// M_TRIM_THRESHOLD and M_TOP_PAD act; the arena and fastbin parameters mean nothing here and are
/// accepted; M_CHECK_ACTION too, since misuse always stops the program.
#[unsafe(no_mangle)]
pub extern "C" fn mallopt(parameter: c_int, value: c_int) -> c_int {
    let setting = match parameter {
        -1 => Setting::TrimThreshold,
        -2 => Setting::TopPad,
        -3 => Setting::MmapThreshold,
        -4 => Setting::MmapMax,
        -6 => Setting::Perturb,
        1..=4 | -5 | -7 | -8 => return 1,
        _ => return 0,
    };
    // glibc reads the value as a size: -1 for M_TRIM_THRESHOLD means never, M_MMAP_MAX takes none.
    let amount = match (setting, usize::try_from(value)) {
        (_, Ok(amount)) => amount,
        (Setting::TrimThreshold | Setting::MmapThreshold, Err(_)) => usize::MAX,
        (Setting::Perturb, Err(_)) => (value & 0xff).cast_unsigned() as usize,
        (Setting::TopPad | Setting::MmapMax, Err(_)) => return 0,
    };
    neap_heap::global::set(setting, amount);
    1
}

/// malloc_trim(3): gives back all that is free; 1 if there was any. All free pages go, so the pad,
/// which glibc leaves at the top of its heap, has no use here.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_trim(_pad: usize) -> c_int {
    c_int::from(neap_heap::global::trim())
}
