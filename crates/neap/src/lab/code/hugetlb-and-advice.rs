use neap_map::{Anon, Hint, HugePage};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // As root before: sysctl vm.nr_hugepages=2
    let mut map = Anon::private(4 << 20).huge(HugePage::MIB_2).map()?;
    map.fill(7);
    for hint in [Hint::Cold, Hint::PageOut, Hint::Collapse] {
        println!("{}", map.hint(.., hint).unwrap_err());
    }
    // Whole pages inside the range: of 4 KiB there are none.
    map.discard(..4096)?;
    println!("it reads {}", map[0]);
    println!("{}", map.free(..).unwrap_err().error());
    Ok(())
}
