use neap_map::Memfd;

fn main() -> Result<(), neap_map::Error> {
    let memfd = Memfd::named("file").create(8192)?;
    let map = memfd.map()?;
    memfd.shrink(4096)?;
    let mut byte = [0];
    println!("{}", map.read_at(4096, &mut byte).unwrap_err());
    map.read_at(0, &mut byte)?;
    println!("and the first page reads {}", byte[0]);
    Ok(())
}
