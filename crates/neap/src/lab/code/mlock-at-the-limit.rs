use neap_map::{Anon, lock::When};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // As an ordinary user, after: ulimit -l 64
    let map = Anon::private(17 * 4096).map()?;
    let sixteen = map.lock(..16 * 4096, When::Now);
    println!("16 pages: {:?}", sixteen.as_ref().err());
    drop(sixteen);
    println!("17 pages: {:?}", map.lock(.., When::Now).err());
    println!(
        "17 pages with MAP_LOCKED: {:?}",
        Anon::private(17 * 4096).locked().map().err()
    );
    Ok(())
}
