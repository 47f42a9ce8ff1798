use neap_map::Anon;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let map = Anon::shared(1024 * 4096).map()?;
    map.fill(.., b'p')?;
    // SAFETY: this process has one thread, and the child calls nothing that needs another.
    match unsafe { libc::fork() } {
        -1 => return Err(std::io::Error::last_os_error().into()),
        0 => {
            let code = i32::from(map.fill(.., b'c').is_err());
            // SAFETY: no condition.
            unsafe { libc::_exit(code) }
        }
        child => {
            // SAFETY: no status is asked for.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        }
    }
    assert_eq!(map.read::<u8>(0)?, b'c');
    Ok(())
}
