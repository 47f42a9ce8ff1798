use neap_map::FileMap;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args()
        .nth(1)
        .ok_or("which file? (it becomes sparse, and 1 TiB long)")?;
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(name)?;
    file.set_len(1 << 40)?;
    let of_file = || FileMap::of(&file);
    println!(
        "private: {:?}",
        of_file().copy_on_write().map().map(|map| map.len())
    );
    println!(
        "not reserved: {:?}",
        of_file().copy_on_write().no_reserve().map().map(|map| map.len())
    );
    println!(
        "private, read-only: {:?}",
        of_file().private().map().map(|map| map.len())
    );
    println!("shared: {:?}", of_file().writable().map().map(|map| map.len()));
    Ok(())
}
