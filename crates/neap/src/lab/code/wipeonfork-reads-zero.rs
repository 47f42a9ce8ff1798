use neap_map::{Anon, AtFork};

unsafe extern "C" {
    safe fn fork() -> i32;
    safe fn _exit(code: i32) -> !;
    fn wait(status: *mut i32) -> i32;
}

fn in_child(work: impl FnOnce()) {
    if fork() == 0 {
        work();
        _exit(0);
    }
    // SAFETY: wait(2) writes no status to a null pointer.
    unsafe { wait(std::ptr::null_mut()) };
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut map = Anon::private(4096).map()?;
    map[0] = 7;
    // SAFETY: (2) no reference into the map lives while the process forks.
    unsafe { map.at_fork(.., AtFork::Wipe) }?;
    in_child(|| println!("the child reads {}", map[0]));
    // SAFETY: (3) the map is of no leased file.
    unsafe { map.at_fork(.., AtFork::Keep) }?;
    in_child(|| println!("after KEEPONFORK a child reads {}", map[0]));
    Ok(())
}
