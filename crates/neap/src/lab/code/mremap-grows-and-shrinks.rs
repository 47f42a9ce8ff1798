use neap_map::Anon;

fn main() -> Result<(), neap_map::Error> {
    let mut map = Anon::private(8 * 4096).map()?;
    map.fill(7);
    map.resize(4 * 4096)?;
    match map.resize(8 * 4096) {
        Ok(()) => assert_eq!((map[4 * 4096 - 1], map[4 * 4096]), (7, 0)),
        Err(error) => println!("somebody was faster: {error}"),
    }
    let mut first = Anon::private(2 * 4096).map()?;
    let _in_the_way = first.split_off(4096)?;
    println!("{}", first.resize(2 * 4096).unwrap_err());
    Ok(())
}
