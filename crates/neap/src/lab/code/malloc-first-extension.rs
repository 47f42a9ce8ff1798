use std::ffi::c_void;
use std::hint::black_box;

unsafe extern "C" {
    fn sbrk(increment: isize) -> *mut c_void;
}

fn main() {
    // SAFETY: sbrk(0) moves nothing.
    let start = unsafe { sbrk(0) }.addr();
    // Rust's System allocator is malloc. What Rust allocated before main has made the heap already: the first
    // block may find room, the second does not.
    let blocks = black_box([(); 2].map(|()| Vec::<u8>::with_capacity(100 << 10)));
    // SAFETY: sbrk(0) moves nothing.
    let end = unsafe { sbrk(0) }.addr();
    println!("for {} blocks of 100 KiB the break rose by {:#x}", blocks.len(), end - start);
}
