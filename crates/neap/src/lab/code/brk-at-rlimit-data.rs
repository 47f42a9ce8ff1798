use std::ffi::c_void;

const RLIMIT_DATA: i32 = 2;

#[repr(C)]
struct Limit {
    soft: u64,
    hard: u64,
}

unsafe extern "C" {
    fn sbrk(increment: isize) -> *mut c_void;
    fn getrlimit(resource: i32, limit: *mut Limit) -> i32;
    fn setrlimit(resource: i32, limit: *const Limit) -> i32;
}

fn main() {
    let mut old = Limit { soft: 0, hard: 0 };
    // SAFETY: the structures have the C library's layout and live here; the break, if it rose, comes down
    // again before anything is allocated.
    let refused = unsafe {
        getrlimit(RLIMIT_DATA, &raw mut old);
        setrlimit(RLIMIT_DATA, &Limit { soft: 4096, hard: old.hard });
        let answer = sbrk(4096).addr();
        if answer != usize::MAX {
            sbrk(-4096);
        }
        setrlimit(RLIMIT_DATA, &raw const old);
        answer == usize::MAX
    };
    println!("sbrk above the limit was refused: {refused}");
}
