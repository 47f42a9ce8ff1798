use neap_map::Anon;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut from = Anon::private(4 * 4096).map()?;
    let mut to = Anon::private(4 * 4096).map()?;
    from.fill(7);
    to.fill(9);
    // Both maps are given away: only one's own can be replaced.
    let place = to.as_ptr();
    let moved = from.move_over(to).map_err(|refused| refused.error())?;
    assert_eq!((moved.as_ptr(), moved[0]), (place, 7));
    Ok(())
}
