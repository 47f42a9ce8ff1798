use std::ffi::c_void;
use std::hint::black_box;

unsafe extern "C" {
    fn sbrk(increment: isize) -> *mut c_void;
}

fn main() {
    for len in [200 << 10, 200 << 10, 40 << 20, 40 << 20] {
        let block = black_box(Vec::<u8>::with_capacity(len));
        // SAFETY: sbrk(0) moves nothing.
        let end = unsafe { sbrk(0) };
        println!("{len:9} bytes at {:p}, the break is at {end:p}", block.as_ptr());
    }
}
