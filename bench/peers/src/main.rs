//! Copies the libraries that the build script made to a directory, with a file `versions`: one line for each,
//! its file name, then the package it was built from.
//!
//! `cargo run --release --manifest-path bench/peers/Cargo.toml -- DIR`; `cargo xtask bench` does it.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(to) = std::env::args_os().nth(1) else {
        eprintln!("usage: neap-peers DIR");
        return ExitCode::FAILURE;
    };
    match copy(Path::new(&to)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("neap-peers: {}: {error}", Path::new(&to).display());
            ExitCode::FAILURE
        }
    }
}

/// Copies every library to `to`, under a new inode: a program that still has an old one mapped keeps it whole.
fn copy(to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    let mut versions = String::new();
    for line in env!("NEAP_PEERS").split(';') {
        let (file, package) = line.split_once('=').unwrap_or((line, ""));
        let target = to.join(file);
        let fresh = to.join(format!(".{file}.new"));
        std::fs::copy(Path::new(env!("OUT_DIR")).join(file), &fresh)?;
        std::fs::rename(&fresh, &target)?;
        versions += &format!("{file} {package}\n");
    }
    std::fs::write(to.join("versions"), versions)
}
