use std::ffi::c_void;
use std::hint::black_box;

unsafe extern "C" {
    fn sbrk(increment: isize) -> *mut c_void;
}

fn main() {
    // From 64 KiB up, freed in between: the first block above the break is a mapping.
    for len in (64 << 10..1 << 20).step_by(16) {
        let block = black_box(Vec::<u8>::with_capacity(len));
        // SAFETY: sbrk(0) moves nothing.
        if block.as_ptr().addr() > unsafe { sbrk(0) }.addr() {
            println!("the first size that goes to mmap is {len}");
            break;
        }
    }
}
