use neap_map::Sealed;

fn main() -> Result<(), neap_map::Error> {
    // Bytes that nobody can write are a sealed memfd: the kernel keeps that promise.
    let sealed = Sealed::build("settings", 4096, |bytes| bytes[..5].copy_from_slice(b"fixed"))?;
    println!("{}", String::from_utf8_lossy(&sealed[..5]));
    Ok(())
}
