use neap_map::{Anon, Hint};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let whole = Anon::private(8 * 4096).map()?;
    let many = Anon::private(70_000 * 8192).no_reserve().map()?;
    // Every other page gets advice that is kept per mapping.
    for page in (0..70_000).map(|index| index * 8192) {
        if let Err(error) = many.hint(page..page + 4096, Hint::DontDump) {
            println!("after {} pages: {error}", page / 8192);
            break;
        }
    }
    println!("{}", whole.hint(3 * 4096..4 * 4096, Hint::Random).unwrap_err());
    println!(
        "populating splits nothing: {:?}",
        whole.hint(..4096, Hint::PopulateWrite)
    );
    Ok(())
}
