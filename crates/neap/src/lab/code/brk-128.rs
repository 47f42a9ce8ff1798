use std::ffi::c_void;

unsafe extern "C" {
    fn sbrk(increment: isize) -> *mut c_void;
    fn malloc(len: usize) -> *mut c_void;
}

fn main() {
    // SAFETY: sbrk(0) moves nothing, and malloc has no condition.
    let (read, high) = unsafe {
        let read = sbrk(0).addr();
        // Until the break moves, as it does when something is printed.
        while sbrk(0).addr() == read {
            malloc(1024);
        }
        (read, sbrk(0).addr())
    };
    let lower = (read + 128).wrapping_sub(high).cast_signed();
    // SAFETY: the break comes back before anything is allocated; what goes in between is free.
    let low = unsafe {
        sbrk(lower);
        let low = sbrk(0).addr();
        sbrk(-lower);
        low
    };
    println!("read {read:#x}, malloc raised it to {high:#x}, set to {low:#x}");
}
