use neap_map::{FileMap, Memfd};

fn main() -> Result<(), neap_map::Error> {
    let memfd = Memfd::named("not persistent").create(4096)?;
    // A durable map either is one or is not made.
    println!("{}", FileMap::of(&memfd).writable().sync().map().unwrap_err());
    Ok(())
}
