use neap_map::{Anon, Populate};

fn main() -> Result<(), neap_map::Error> {
    for populate in [Populate::OnTouch, Populate::Now] {
        let map = Anon::private(65536).populate(populate).map()?;
        println!("{populate:?}: {:?} pages in memory", map.residency(..)?.resident());
    }
    Ok(())
}
