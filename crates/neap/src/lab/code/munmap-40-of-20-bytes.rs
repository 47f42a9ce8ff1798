use neap_map::Anon;

fn main() -> Result<(), neap_map::Error> {
    // A map knows its length: to unmap a neighbour cannot be written down.
    let three = Anon::private(3 * 4096).map()?;
    let (first, third) = three.unmap_range(4096..8192)?;
    assert_eq!((first.len(), third.len()), (4096, 4096));
    let error = first.unmap_range(0..4097).unwrap_err();
    println!("{error}");
    Ok(())
}
