use neap_map::Anon;

fn main() -> Result<(), neap_map::Error> {
    let private = Anon::private(4096).map()?;
    match Anon::shared(4096).map() {
        Ok(shared) => println!("{} and {} bytes", private.len(), shared.len()),
        Err(error) => println!("{error}"),
    }
    Ok(())
}
