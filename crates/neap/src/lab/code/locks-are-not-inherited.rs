use neap_map::{Anon, lock::When};

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
    let _locked = map.lock(.., When::Now)?;
    println!("in the parent: {}", map.discard(..).unwrap_err());
    in_child(|| println!("in the child: {:?}", map.discard(..)));
    Ok(())
}
