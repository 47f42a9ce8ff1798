use neap_map::Anon;

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
    let map = Anon::shared(64 * 4096).map()?;
    map.fill(.., 7)?;
    show("filled", map.as_ptr(), &["Rss:"]);
    map.discard(..)?;
    show("after DONTNEED", map.as_ptr(), &["Rss:"]);
    println!("and still it reads {}", map.read::<u8>(0)?);
    Ok(())
}
