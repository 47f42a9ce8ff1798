use neap_map::Memfd;

fn main() -> Result<(), neap_map::Error> {
    // A map has the length that was asked for, not the page's: byte 200 of 100 is out of range.
    let map = Memfd::named("file").create(100)?.map()?;
    println!("{} bytes", map.len());
    println!("{}", map.write_at(200, &[1]).unwrap_err());
    Ok(())
}
