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
    let len = 4096 * 4096;
    let mut map = Anon::private(len).map()?;
    map.fill(7);
    // What may become zeros at any time lends no slices: the map is consumed, and comes back by `retake`.
    let map = map.free(..).map_err(|refused| refused.error())?;
    show("after FREE", map.as_ptr(), &["LazyFree:"]);
    map.hint(len / 2.., Hint::PageOut)?;
    show("half is reclaimed", map.as_ptr(), &["Rss:"]);
    let map = map.retake().map_err(|refused| refused.error())?;
    println!("not reclaimed: {}, reclaimed: {}", map[0], map[len * 3 / 4]);
    Ok(())
}
