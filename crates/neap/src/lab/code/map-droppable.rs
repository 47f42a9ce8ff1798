use neap_map::{Anon, Hint};

fn main() -> Result<(), neap_map::Error> {
    // Its bytes may go at any time: there is no slice of them, only copies.
    let map = Anon::droppable(256 * 4096).map()?;
    map.fill(.., 7)?;
    map.hint(.., Hint::PageOut)?;
    let mut bytes = vec![0; map.len()];
    map.read_at(0, &mut bytes)?;
    println!("{} of {} bytes are 0 now", bytes.iter().filter(|&&byte| byte == 0).count(), bytes.len());
    Ok(())
}
