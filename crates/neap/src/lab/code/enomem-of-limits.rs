use neap_map::Anon;

fn main() {
    // Run it under `ulimit -d 1024` or `ulimit -v 100000`: the error says which limit it was.
    match Anon::private(1 << 30).map() {
        Ok(map) => println!("{} bytes: no limit", map.len()),
        Err(error) => println!("{error}"),
    }
}
