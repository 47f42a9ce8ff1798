use std::ffi::c_void;
use std::hint::black_box;

unsafe extern "C" {
    fn sbrk(increment: isize) -> *mut c_void;
    safe fn malloc_trim(pad: usize) -> i32;
}

fn end() -> usize {
    // SAFETY: sbrk(0) moves nothing.
    unsafe { sbrk(0) }.addr()
}

fn main() {
    // With an argument C is held.
    let holds_c = std::env::args().len() > 1;
    let block = |kib: usize| black_box(Vec::<u8>::with_capacity(kib << 10));
    malloc_trim(0);
    let start = end();
    let (a, b, c, d) = (block(30), block(40), block(200), block(100));
    let full = end() - start;
    let c = if holds_c { Some(c) } else { None };
    drop(b);
    drop(d);
    let freed = end() - start;
    malloc_trim(0);
    let trimmed = end() - start;
    println!("all {full:#x}, B and D freed {freed:#x}, trimmed {trimmed:#x}");
    drop((a, c));
}
