use neap_map::Anon;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut map = Anon::private(1024 * 4096).map()?;
    map.fill(b'p');
    // SAFETY: this process has one thread, and the child calls nothing that needs another.
    match unsafe { libc::fork() } {
        -1 => return Err(std::io::Error::last_os_error().into()),
        0 => {
            // A slice of private memory is one's own in each process.
            map[..256 * 4096].fill(b'c');
            // SAFETY: no condition.
            unsafe { libc::_exit(0) }
        }
        child => {
            // SAFETY: no status is asked for.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        }
    }
    assert!(map.iter().all(|&byte| byte == b'p'));
    Ok(())
}
