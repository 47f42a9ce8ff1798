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
    let map = Anon::shared(4096).map()?;
    map.fill(.., 7)?;
    // SAFETY: (1) the child reads through the map with a call that says what is not mapped, and never
    // drops it; nothing is mapped in the child before it reads.
    unsafe { map.at_fork(.., AtFork::Omit) }?;
    in_child(|| println!("the child: {:?}", map.read::<u8>(0)));
    // SAFETY: (3) the map is of no leased file.
    unsafe { map.at_fork(.., AtFork::Inherit) }?;
    in_child(|| println!("the child: {:?}", map.read::<u8>(0)));
    Ok(())
}
