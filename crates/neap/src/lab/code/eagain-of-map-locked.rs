use neap_map::Anon;
use neap_map::lock::When;

fn main() -> Result<(), neap_map::Error> {
    // Run it as an unprivileged user: both say which limit it was.
    if let Err(error) = Anon::private(1 << 30).locked().map() {
        println!("{error}");
    }
    let map = Anon::private(1 << 30).map()?;
    if let Err(error) = map.lock(.., When::OnFault) {
        println!("{error}");
    }
    Ok(())
}
