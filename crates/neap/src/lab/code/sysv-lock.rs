use neap_map::lock::When;
use neap_map::sysv::Segment;

fn show(when: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmLck"));
    println!("{when}: {}", line.unwrap_or("?"));
}

fn main() -> Result<(), neap_map::Error> {
    let segment = Segment::private(16 * 4096).create()?;
    let map = segment.attach().map()?;
    segment.remove()?;
    map.fill(.., 1)?;
    segment.lock()?;
    println!("its state: locked {}", segment.stat()?.locked);
    show("SHM_LOCK");
    let _lock = map.lock(.., When::Now)?;
    show("mlock");
    Ok(())
}
