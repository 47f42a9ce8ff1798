use neap_map::{Growable, Memfd};

fn main() -> Result<(), neap_map::Error> {
    // A map that follows its file: it ends where the file ends, and grows with it.
    let memfd = Memfd::named("file").create(4096)?;
    let map = Growable::open(&memfd, 3 * 4096)?;
    println!("{}", map.read_at(4096, &mut [0]).unwrap_err());
    map.grow_to(3 * 4096)?;
    map.read_at(4096, &mut [0])?;
    println!("{} bytes", map.len());
    Ok(())
}
