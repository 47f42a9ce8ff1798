use neap_map::{Anon, Hint};

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
    let mut map = Anon::private(2 << 20).align(2 << 20).map()?;
    map.hint(.., Hint::HugePage)?;
    map.fill(7);
    show("filled", map.as_ptr(), &["AnonHugePages:"]);
    map.discard(1 << 20..(1 << 20) + 4096)?;
    show("a page less", map.as_ptr(), &["AnonHugePages:", "Rss:"]);
    Ok(())
}
