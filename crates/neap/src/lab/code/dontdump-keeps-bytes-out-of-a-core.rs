use neap_map::{Anon, Hint};

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
    // ulimit -c unlimited, and kernel.core_pattern=core
    let mut kept = Anon::private(4096).map()?;
    let mut omitted = Anon::private(4096).map()?;
    for index in 0..26 {
        kept[index as usize] = b'a' + index;
        omitted[index as usize] = b'z' - index;
    }
    omitted.hint(.., Hint::DontDump)?;
    println!("grep -c abcdefghijkl core: 1; grep -c zyxwvutsrq core: 0");
    in_child(|| std::process::abort());
    Ok(())
}
