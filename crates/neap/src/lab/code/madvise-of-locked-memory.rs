use neap_map::{Anon, Hint, lock::When};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let map = Anon::shared(4096).map()?;
    let _locked = map.lock(.., When::Now)?;
    println!("{}", map.discard(..).unwrap_err());
    println!("{}", map.punch(..).unwrap_err());
    for hint in [Hint::Cold, Hint::PageOut] {
        println!("{}", map.hint(.., hint).unwrap_err());
    }
    map.hint(.., Hint::DontDump)?;
    Ok(())
}
