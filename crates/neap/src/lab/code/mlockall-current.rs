use neap_map::{Anon, lock::Mappings, lock::When, lock::lock_all, lock::unlock_all};

fn locked(when: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    for line in status.lines().filter(|line| line.starts_with("VmLck:")) {
        println!("{when}: {line}");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    lock_all(Mappings::Current, When::Now)?;
    locked("after mlockall");
    let _more = Anon::private(1 << 20).map()?;
    locked("1 MiB more is mapped");
    unlock_all()?;
    locked("after munlockall");
    Ok(())
}
