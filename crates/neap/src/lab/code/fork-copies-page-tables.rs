use neap_map::Anon;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut private = Anon::private(64 << 20).map()?;
    private.fill(1);
    child("private")?;
    drop(private);
    let shared = Anon::shared(64 << 20).map()?;
    shared.fill(.., 1)?;
    child("shared")?;
    Ok(())
}

/// What the page tables of a child take.
fn child(kind: &str) -> std::io::Result<()> {
    // SAFETY: this process has one thread, so its child may do what it could.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error()),
        0 => {
            let status = std::fs::read_to_string("/proc/self/status")?;
            for line in status.lines().filter(|line| line.starts_with("VmPTE")) {
                println!("{kind}: {line}");
            }
            std::process::exit(0)
        }
        pid => {
            // SAFETY: no status is asked for.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            Ok(())
        }
    }
}
