use neap_map::{Anon, HugePage};

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
    // As root before: echo 1 >/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages
    let mut map = Anon::private(1 << 30).huge(HugePage::GIB_1).map()?;
    map[0] = 7;
    show("one byte is written", map.as_ptr(), &["Private_Hugetlb:"]);
    Ok(())
}
