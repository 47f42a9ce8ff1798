use neap_map::{Anon, Hint};
use std::{thread, time::Duration};

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
    // As root before: cd /sys/kernel/mm/ksm; echo 20000 >pages_to_scan; echo 1 >run
    let mut map = Anon::private(4096 * 4096).map()?;
    map.fill(7);
    map.hint(.., Hint::Mergeable)?;
    thread::sleep(Duration::from_secs(3));
    show("merged", map.as_ptr(), &["KSM:"]);
    map[5 * 4096] = 8;
    println!("written: {}, its neighbour: {}", map[5 * 4096], map[6 * 4096]);
    map.hint(.., Hint::Unmergeable)?;
    show("after UNMERGEABLE", map.as_ptr(), &["KSM:"]);
    Ok(())
}
