use neap_map::Anon;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut first = Anon::private(2 * 4096).map()?;
    let before = lines()?;
    // Two maps of this library, one line of the kernel's; and back.
    let second = first.split_off(4096)?;
    assert_eq!(lines()?, before);
    let both = first.merge(second).map_err(|refused| refused.error())?;
    println!("{} bytes in one map", both.len());
    Ok(())
}

fn lines() -> std::io::Result<usize> {
    Ok(std::fs::read_to_string("/proc/self/maps")?.lines().count())
}
