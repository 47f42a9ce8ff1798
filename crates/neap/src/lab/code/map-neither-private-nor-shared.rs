use neap_map::Anon;

fn main() -> Result<(), neap_map::Error> {
    // Anonymous memory that is neither cannot be written down.
    let private = Anon::private(4096).map()?;
    let shared = Anon::shared(4096).map()?;
    println!("{} private and {} shared bytes", private.len(), shared.len());
    Ok(())
}
