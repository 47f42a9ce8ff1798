use std::ffi::c_void;

unsafe extern "C" {
    fn sbrk(increment: isize) -> *mut c_void;
}

fn main() {
    let page = neap_os::env::page_size();
    // SAFETY: sbrk(0) moves nothing.
    let now = unsafe { sbrk(0) }.addr();
    let base = now.next_multiple_of(page);
    // SAFETY: what is raised is lowered again before anything is allocated, and the page's last byte,
    // although behind the break, is mapped with it.
    let exact = unsafe {
        sbrk((base + 1 - now).cast_signed());
        (base as *mut u8).add(page - 1).write_volatile(1);
        let exact = sbrk(0).addr() - base;
        sbrk(-(base + 1 - now).cast_signed());
        exact
    };
    println!("the break rose by {exact}, and the whole page of {page} could be written");
}
