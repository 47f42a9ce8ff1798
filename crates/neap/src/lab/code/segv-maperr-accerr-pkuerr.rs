use neap_map::Anon;
use neap_map::key::{Key, Rights};

fn main() -> Result<(), neap_map::Error> {
    // Rights are part of a map's type, so no access of safe Rust is forbidden. A key's rights are a thread's:
    // what they forbid is an error.
    let key = match Key::new() {
        Ok(key) => key,
        Err(error) => {
            println!("{error}");
            return Ok(());
        }
    };
    let keyed = key.carried_by(Anon::private(4096).map()?)?;
    let answer = key.with(Rights::None, || keyed.read_at(0, &mut [0]));
    println!("{answer:?}");
    Ok(())
}
