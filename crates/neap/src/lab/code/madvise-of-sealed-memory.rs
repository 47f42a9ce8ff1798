use neap_map::{Anon, Discard, Hint};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut map = Anon::private(4096).map()?;
    map[0] = 7;
    let map = map.into_read_only().map_err(|refused| refused.error())?;
    let map = map.sealed().map_err(|refused| refused.error())?;
    println!(
        "{}",
        // SAFETY: (1) the seal refuses it: nothing is lost.
        unsafe { map.discard_unchecked(.., Discard::DontNeed) }.unwrap_err()
    );
    map.hint(.., Hint::DontDump)?;
    println!("it reads {}", map[0]);
    Ok(())
}
