use neap_map::Anon;

fn main() -> Result<(), neap_map::Error> {
    // Sealed for ever: what is left is a borrow that cannot be dropped.
    let sealed = Anon::private(4096).map()?.sealed()?;
    sealed[0] = 7;
    println!("{} and no way to unmap it", sealed[0]);
    Ok(())
}
