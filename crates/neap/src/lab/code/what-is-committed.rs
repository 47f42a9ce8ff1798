use neap_map::Anon;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tell("nothing")?;
    let private = Anon::private(4 << 30).map()?;
    tell("private")?;
    drop(private);
    let not_reserved = Anon::private(4 << 30).no_reserve().map()?;
    tell("not reserved")?;
    drop(not_reserved);
    let reserved = Anon::private(4 << 30).reserve()?;
    tell("without access")?;
    drop(reserved);
    let _shared = Anon::shared(4 << 30).map()?;
    tell("shared")?;
    Ok(())
}

fn tell(what: &str) -> std::io::Result<()> {
    let meminfo = std::fs::read_to_string("/proc/meminfo")?;
    for line in meminfo.lines().filter(|line| line.starts_with("Committed_AS")) {
        println!("{what}: {line}");
    }
    Ok(())
}
