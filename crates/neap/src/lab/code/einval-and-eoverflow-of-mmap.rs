use neap_map::{Anon, Memfd};

fn main() -> Result<(), neap_map::Error> {
    // 0 bytes are a map without bytes, and any offset will do: the library maps from the page before it.
    println!("{} bytes", Anon::private(0).map()?.len());
    let memfd = Memfd::named("file").create(8192)?;
    println!("{} bytes", memfd.file_map().range(1..5000).map()?.len());
    println!("{}", Anon::private(1 << 63).map().unwrap_err());
    Ok(())
}
