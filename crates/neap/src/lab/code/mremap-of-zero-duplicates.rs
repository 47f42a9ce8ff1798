use neap_map::{Allocation, Memfd};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Two maps of one memfd are the same without a trick, and each knows what it is.
    let memory = Memfd::named("twice")
        .allocation(Allocation::Sparse)
        .create(4096)?;
    let (first, second) = (memory.map()?, memory.map()?);
    first.write_at(0, &[8])?;
    assert_eq!(second.read::<u8>(0)?, 8);
    Ok(())
}
