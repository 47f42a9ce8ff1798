use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Rust's own println! writes each line at once, wherever to. A buffer of one's own is copied by fork.
    let mut out = std::io::BufWriter::new(std::io::stdout());
    writeln!(out, "1: parent, before fork")?;
    // SAFETY: this process has one thread, so its child may do what it could.
    match unsafe { libc::fork() } {
        -1 => return Err(std::io::Error::last_os_error().into()),
        0 => {
            writeln!(out, "2: child")?;
            writeln!(out, "4: child")?;
        }
        child => {
            // SAFETY: no status is asked for.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
            writeln!(out, "3: parent")?;
        }
    }
    out.flush()?;
    Ok(())
}
