use neap_map::Anon;

fn main() -> Result<(), neap_map::Error> {
    let mut first = Anon::private(3 * 4096).map()?;
    let last = first.split_off(2 * 4096)?;
    let guard = first.split_off(4096)?.into_guard()?;
    println!("{} + {} + {} bytes; the middle cannot be touched", first.len(), guard.len(), last.len());
    let again = guard.remove_guard()?;
    println!("and then reads {}", again[0]);
    Ok(())
}
