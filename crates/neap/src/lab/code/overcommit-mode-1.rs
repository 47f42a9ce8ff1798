use neap_map::Anon;

/// `sysctl vm.overcommit_memory=1` before, and what it was afterwards (0 is usual).
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "mode {}",
        std::fs::read_to_string("/proc/sys/vm/overcommit_memory")?.trim()
    );
    for size in [1 << 40, 1 << 46, 1 << 62] {
        match Anon::private(size).map() {
            Ok(map) => println!("{size} bytes: mapped at {:p}", map.as_ptr()),
            Err(error) => println!("{size} bytes: {error}"),
        }
    }
    Ok(())
}
