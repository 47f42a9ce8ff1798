use std::ffi::c_void;
use std::hint::black_box;

unsafe extern "C" {
    fn sbrk(increment: isize) -> *mut c_void;
    fn mmap(at: *mut c_void, len: usize, prot: i32, flags: i32, fd: i32, offset: i64) -> *mut c_void;
}

/// MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE.
const FLAGS: i32 = 0x2 | 0x20 | 0x10_0000;

fn main() {
    let page = neap_os::env::page_size();
    // SAFETY: sbrk(0) moves nothing, and MAP_FIXED_NOREPLACE replaces nothing.
    let (end, stone) = unsafe {
        let end = sbrk(0);
        let next = end.addr().next_multiple_of(page) as *mut c_void;
        (end, mmap(next, page, 0, FLAGS, -1, 0))
    };
    let blocks = black_box([(); 3].map(|()| Vec::<u8>::with_capacity(100 << 10)));
    println!("break {end:p}, a page at {stone:p}, blocks:");
    for block in &blocks {
        println!("{:p}", block.as_ptr());
    }
}
