use neap_map::{Anon, HugePage};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // With an empty pool: sysctl vm.nr_hugepages is 0.
    match Anon::private(2 << 20).huge(HugePage::MIB_2).map() {
        Ok(map) => println!("the pool had {} bytes", map.len()),
        Err(error) => println!("{error}"),
    }
    Ok(())
}
