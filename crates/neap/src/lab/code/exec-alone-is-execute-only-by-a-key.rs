use neap_map::Anon;

fn main() -> Result<(), neap_map::Error> {
    let mut map = Anon::private(4096).map()?;
    map[0] = 0xc3;
    // No method reads it. What else in the process can, is the processor's affair.
    let code = map.into_execute_only()?;
    println!("{} bytes of code", code.len());
    Ok(())
}
