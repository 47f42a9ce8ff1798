use neap_map::{Anon, lock::Mappings, lock::When, lock::lock_all, lock::unlock_all};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    lock_all(Mappings::Future, When::Now)?;
    let now = Anon::shared(16 * 4096).map()?;
    lock_all(Mappings::Future, When::OnFault)?;
    let later = Anon::shared(16 * 4096).map()?;
    unlock_all()?;
    println!("MCL_FUTURE: {:?} pages are there", now.residency(..)?.resident());
    println!("with MCL_ONFAULT: {:?}", later.residency(..)?.resident());
    Ok(())
}
