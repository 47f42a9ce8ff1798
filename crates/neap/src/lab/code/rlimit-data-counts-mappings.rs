use neap_map::Anon;

/// Run it under `ulimit -d 16384`.
fn main() {
    const SIZE: usize = 32 << 20;
    println!("private: {:?}", Anon::private(SIZE).map().map(|map| map.len()));
    println!(
        "reserved: {:?}",
        Anon::private(SIZE).reserve().map(|map| map.len())
    );
    println!("shared: {:?}", Anon::shared(SIZE).map().map(|map| map.len()));
}
