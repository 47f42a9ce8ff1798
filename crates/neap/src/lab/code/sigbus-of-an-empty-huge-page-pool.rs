use neap_map::{Anon, HugePage};

fn main() {
    match Anon::private(2 << 20).huge(HugePage::MIB_2).map() {
        Ok(map) => println!("{} bytes of huge pages", map.len()),
        Err(error) => println!("{error}"),
    }
}
