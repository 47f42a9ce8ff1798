use neap_map::Anon;

fn main() -> Result<(), neap_map::Error> {
    let mut map = Anon::private(1024 * 4096).map()?;
    map.fill(7);
    let old = map.as_ptr();
    // It takes the map exclusively: no slice of the old place can be left.
    map.resize_moving(1 << 30)?;
    assert!(map[..1024 * 4096].iter().all(|&byte| byte == 7));
    println!("{old:p} to {:p}", map.as_ptr());
    Ok(())
}
