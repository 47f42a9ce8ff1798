use neap_map::Anon;

fn main() -> Result<(), neap_map::Error> {
    let mut old = Anon::private(4 * 4096).map()?;
    old.fill(7);
    let new = old.move_out()?;
    assert_eq!((new[0], old[0]), (7, 0));
    Ok(())
}
