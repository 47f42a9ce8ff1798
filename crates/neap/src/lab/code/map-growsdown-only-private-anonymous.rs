use neap_map::Growable;

fn main() -> Result<(), neap_map::Error> {
    // Shared memory grows upwards, into room that is reserved for it.
    let memfd = neap_map::Memfd::named("grows").create(0)?;
    let grown = Growable::open(&memfd, 1 << 20)?;
    grown.append(b"shared, and longer now")?;
    println!("{} bytes", grown.len());
    Ok(())
}
