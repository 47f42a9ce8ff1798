use neap_map::Anon;

fn main() -> Result<(), neap_map::Error> {
    // What may be done is part of the type: what is forbidden does not compile.
    let mut map = Anon::private(4096).map()?;
    map[0] = 0xc3;
    let read_only = map.into_read_only()?;
    println!("{:#x}", read_only[0]);
    let code = read_only.into_owned()?.into_code()?;
    println!("{} bytes of code", code.len());
    Ok(())
}
