use neap_map::{Anon, Hint};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let map = Anon::shared(4 * 4096).map()?;
    map.guard(2 * 4096..3 * 4096)?;
    // The error says where the first page is that cannot be had.
    println!("{}", map.hint(.., Hint::PopulateWrite).unwrap_err());
    println!("in memory: {:?} pages", map.residency(..)?.resident());
    Ok(())
}
