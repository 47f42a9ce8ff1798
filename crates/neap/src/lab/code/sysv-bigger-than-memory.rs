use neap_map::sysv::Segment;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let info = std::fs::read_to_string("/proc/meminfo")?;
    let kilobytes = |name: &str| -> usize {
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        number.and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    let len = (kilobytes("MemTotal:") + kilobytes("SwapTotal:")) * 2048;
    match Segment::private(len).create() {
        Ok(segment) => segment.remove()?,
        Err(error) => println!("{error}"),
    }
    let segment = Segment::private(len).no_reserve().create()?;
    println!("with SHM_NORESERVE: {} bytes", segment.stat()?.len.0);
    segment.remove()?;
    Ok(())
}
