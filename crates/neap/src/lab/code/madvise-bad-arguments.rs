use neap_os::advice::{Hint, hint};
use neap_os::linux::Linux;
use neap_os::unit::{Bytes, Span};
use neap_os::vm::Vm;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let map = Linux.map(Bytes(4 * 4096)).map_err(|errno| errno.to_string())?;
    let part = |at: usize, len| Span::new(map.base() + at, len).ok_or("it wraps");
    println!("an address not on a page: {:?}", hint(part(1, 4096)?, Hint::Cold));
    println!("a length of 0: {:?}", hint(part(0, 0)?, Hint::Cold));
    println!(
        "a length of a page and a byte: {:?}",
        hint(part(0, 4097)?, Hint::DontDump)
    );
    // A span that wraps cannot be made, and an advice that does not exist cannot be named.
    println!("a length of -1: {:?}", part(0, usize::MAX));
    Ok(())
}
