use neap_map::Memfd;

fn main() -> Result<(), neap_map::Error> {
    let memfd = Memfd::named("two pages").create(8192)?;
    let map = memfd.map()?;
    memfd.shrink(4096)?;
    // Its own mapping, and no page behind it: this is where SIGBUS would come.
    println!("{}", map.read_at(4096, &mut [0]).unwrap_err());
    Ok(())
}
