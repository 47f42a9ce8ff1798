use neap_map::{Anon, Discard, Hint};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Whether the kernel knows them: asked of no bytes, so this is harmless to root, too.
    println!("HWPOISON: {}", Discard::HwPoison.is_supported());
    println!("SOFT_OFFLINE: {}", Hint::SoftOffline.is_supported());
    if std::fs::metadata("/proc/self").map(|is| std::os::unix::fs::MetadataExt::uid(&is))? == 0 {
        return Ok(());
    }
    let map = Anon::private(4096).map()?;
    println!("{:?}", map.hint(.., Hint::SoftOffline));
    Ok(())
}
