use neap_os::linux::Linux;
use neap_os::lock::{When, lock};
use neap_os::mapping::unmap;
use neap_os::unit::{Bytes, Span};
use neap_os::vm::Vm;

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
    // A map of neap-map has no holes, so this takes the layer below.
    let map = Linux.map(Bytes(3 * 4096)).map_err(|errno| errno.to_string())?;
    let middle = Span::new(map.base() + 4096, 4096).ok_or("it wraps")?;
    // SAFETY: (1, 2) mapped above, and used by nothing.
    unsafe { unmap(middle) }.map_err(|errno| errno.to_string())?;
    println!("{:?}", lock(map, When::Now));
    show(
        "before it",
        std::ptr::without_provenance(map.base()),
        &["VmFlags:"],
    );
    show(
        "behind it",
        std::ptr::without_provenance(middle.end()),
        &["VmFlags:"],
    );
    Ok(())
}
