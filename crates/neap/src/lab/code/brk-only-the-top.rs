use neap_map::Anon;

fn main() -> Result<(), neap_map::Error> {
    // Six pages that brk has nothing to do with: each can go alone.
    let page = neap_os::env::page_size();
    let six = Anon::private(6 * page).map()?;
    let (first, rest) = six.unmap_range(page..4 * page)?;
    println!("left: {} bytes below the hole, {} above", first.len(), rest.len());
    Ok(())
}
