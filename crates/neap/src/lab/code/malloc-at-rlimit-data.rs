use neap_map::Anon;

#[repr(C)]
struct Limit {
    soft: u64,
    hard: u64,
}

unsafe extern "C" {
    fn getrlimit(resource: i32, limit: *mut Limit) -> i32;
    fn setrlimit(resource: i32, limit: *const Limit) -> i32;
}

fn main() {
    const RLIMIT_DATA: i32 = 2;
    let mut limit = Limit { soft: 0, hard: 0 };
    // SAFETY: the structure has the C library's layout and lives here.
    unsafe {
        getrlimit(RLIMIT_DATA, &raw mut limit);
        limit.soft = 4096;
        setrlimit(RLIMIT_DATA, &raw const limit);
    }
    println!("private: {:?}", Anon::private(1 << 20).map().map(|_| ()));
    println!("shared: {:?}", Anon::shared(1 << 20).map().map(|_| ()));
    let block = Vec::<u8>::new().try_reserve_exact(64 << 20);
    println!("malloc: {block:?}");
}
