use neap_map::Anon;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let map = Anon::shared(64 * 4096).map()?;
    map.fill(.., 7)?;
    println!("in memory: {:?}", map.residency(..)?.resident());
    map.punch(16 * 4096..48 * 4096)?;
    println!(
        "in memory: {:?}; it reads {}",
        map.residency(..)?.resident(),
        map.read::<u8>(16 * 4096)?
    );
    Ok(())
}
