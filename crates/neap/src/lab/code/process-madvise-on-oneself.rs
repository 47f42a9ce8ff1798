use neap_map::{Anon, Discards, Hint, Hints};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut map = Anon::private(32 * 4096).map()?;
    map.fill(7);
    let parts = [0..16384, 32768..49152, 65536..81920];
    println!("{} bytes", Discards::new().add(&mut map, &parts)?.give_up()?);
    println!("inside: {}, outside: {}", map[32768], map[16384]);
    println!("{} bytes", Hints::new().add(&map, ..)?.give(Hint::Cold)?);
    Ok(())
}
