use neap_map::{Anon, Guards};

fn main() -> Result<(), neap_map::Error> {
    // A stack of one's own does not grow: it is reserved whole, with a guard page below, and filled on touch.
    let stack = Anon::private(8 << 20).stack().guards(Guards::Before).map()?;
    println!("{} bytes, {:?} pages of them in memory", stack.len(), stack.residency(..)?.resident());
    Ok(())
}
