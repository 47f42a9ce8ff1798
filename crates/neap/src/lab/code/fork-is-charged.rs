use neap_map::Anon;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _private = Anon::private(4 << 30).map()?;
    tell("mapped")?;
    // SAFETY: this process has one thread, so its child may do what it could.
    match unsafe { libc::fork() } {
        -1 => return Err(std::io::Error::last_os_error().into()),
        0 => {
            tell("forked")?;
            std::process::exit(0);
        }
        child => {
            // SAFETY: no status is asked for.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        }
    }
    tell("ended")?;
    Ok(())
}

fn tell(what: &str) -> std::io::Result<()> {
    let meminfo = std::fs::read_to_string("/proc/meminfo")?;
    for line in meminfo.lines().filter(|line| line.starts_with("Committed_AS")) {
        println!("{what}: {line}");
    }
    Ok(())
}
