use neap_map::{Anon, lock::When};

/// Lines of smaps that the kernel writes for the mapping at `address`.
fn show(when: &str, address: *const u8, fields: &[&str]) {
    let mut inside = false;
    for line in std::fs::read_to_string("/proc/self/smaps").unwrap().lines() {
        if let Some((from, to)) = line.split_once(' ').and_then(|(span, _)| span.split_once('-')) {
            let number = |text| usize::from_str_radix(text, 16).unwrap();
            inside = (number(from)..number(to)).contains(&address.addr());
        } else if inside && fields.iter().any(|field| line.starts_with(field)) {
            println!("{when}: {line}");
        }
    }
}

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
    let map = Anon::private(4096).map()?;
    let map = map.into_guard().map_err(|refused| refused.error())?;
    show("the guard", map.as_ptr(), &["VmFlags:", "Rss:"]);
    let map = map.remove_guard().map_err(|refused| refused.error())?;
    println!("removed, it reads {}", map[0]);
    let shared = Anon::shared(4096).map()?;
    shared.guard(..)?;
    in_child(|| {
        println!("the child: {}", shared.read::<u8>(0).unwrap_err());
        let _ = shared.unguard(..);
        println!("the child, without its guard: {:?}", shared.read::<u8>(0));
    });
    println!("the parent: {}", shared.read::<u8>(0).unwrap_err());
    let locked = Anon::shared(4096).map()?;
    let _lock = locked.lock(.., When::Now)?;
    println!("{}", locked.guard(..).unwrap_err());
    Ok(())
}
