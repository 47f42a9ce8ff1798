use neap_map::{Hint, Memfd};

fn main() -> Result<(), neap_map::Error> {
    let memfd = Memfd::named("four pages").create(4 * 4096)?;
    let map = memfd.map()?;
    memfd.shrink(4096)?;
    // MAP_POPULATE would keep it to itself; the advice tells.
    println!("{}", map.hint(.., Hint::PopulateWrite).unwrap_err());
    Ok(())
}
