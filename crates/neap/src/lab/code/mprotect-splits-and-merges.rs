use std::fs;

use neap_map::Anon;

fn areas() -> usize {
    fs::read_to_string("/proc/self/maps").map_or(0, |maps| maps.lines().count())
}

fn main() -> Result<(), neap_map::Error> {
    let mut first = Anon::private(3 * 4096).map()?;
    let before = areas();
    let last = first.split_off(2 * 4096)?;
    let middle = first.split_off(4096)?.into_read_only()?;
    let split = areas();
    let middle = middle.into_owned()?;
    println!("{before} areas, {split} split, {} again", areas());
    drop((first, middle, last));
    Ok(())
}
