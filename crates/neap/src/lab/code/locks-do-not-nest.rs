use neap_map::{Anon, lock::When};

/// Lines of smaps that the kernel writes for the mapping at `address`.
fn show(when: &str, address: *const u8, fields: &[&str]) {
    let mut inside = false;
    for line in std::fs::read_to_string("/proc/self/smaps").unwrap().lines() {
        if let Some((from, to)) = line.split_once(' ').and_then(|(span, _)| span.split_once('-')) {
            let number = |text| usize::from_str_radix(text, 16).unwrap();
            inside = (number(from)..number(to)).contains(&address.addr());
        } else if inside && fields.iter().any(|field| line.starts_with(field)) {
            println!("{when}: {line}");
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let map = Anon::private(16 * 4096).map()?;
    let first = map.lock(.., When::Now)?;
    let second = map.lock(.., When::Now)?;
    // The kernel would unlock here. These guards count, and the first leaves to the second what is its.
    first.unlock()?;
    show("unlocked once", map.as_ptr(), &["Locked:"]);
    second.unlock()?;
    show("unlocked twice", map.as_ptr(), &["Locked:"]);
    Ok(())
}
