use neap_map::{Anon, Error};

fn main() {
    // Read-only pages between writable ones: each is an area. The room to keep them is made beforehand, for
    // malloc, too, needs areas.
    let mut writable = Vec::with_capacity(1 << 18);
    let mut read_only = Vec::with_capacity(1 << 18);
    let error = loop {
        match Anon::private(4096).map() {
            Ok(page) => writable.push(page),
            Err(error) => break error,
        }
        let page = Anon::private(4096).map();
        match page.and_then(|page| page.into_read_only().map_err(Error::from)) {
            Ok(page) => read_only.push(page),
            Err(error) => break error,
        }
        if read_only.len() == 1 << 17 {
            return println!("no limit was met");
        }
    };
    println!("after {} areas: {error}", writable.len() + read_only.len());
}
