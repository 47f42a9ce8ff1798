//! What is shipped: `target/dist` is a prefix in miniature, and `install` copies it.
//!
//! The command finds its library at `../lib/libneap.so` from itself, so the tree may be moved as a whole.

use crate::Outcome;
use crate::artifacts::{self, check};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/neap"),
    ("zsh", "share/zsh/site-functions/_neap"),
    ("fish", "share/fish/vendor_completions.d/neap.fish"),
];

/// Builds everything and lays it out afresh.
pub(crate) fn lay_out() -> Outcome<PathBuf> {
    let built = artifacts::build()?;
    let to = artifacts::target()?.join("dist");
    if to.exists() {
        fs::remove_dir_all(&to).map_err(|e| at(&to, &e))?;
    }
    copy(&built.command, &to.join("bin/neap"))?;
    copy(&built.library, &to.join("lib/libneap.so"))?;
    let command = to.join("bin/neap");
    let manuals = to.join("share/man/man1");
    make(&manuals)?;
    check(Command::new(&command).args(["man", "--out"]).arg(&manuals))?;
    for (shell, file) in COMPLETIONS {
        let output = Command::new(&command).args(["completions", shell]).output();
        let output = output.map_err(|e| at(&command, &e))?;
        if !output.status.success() {
            return Err(format!("neap completions {shell}: {}", output.status));
        }
        let file = to.join(file);
        make(file.parent().unwrap_or(&to))?;
        fs::write(&file, output.stdout).map_err(|e| at(&file, &e))?;
    }
    Ok(to)
}

/// `install --prefix P`: copies the tree to P, over an older one.
pub(crate) fn install(args: &[&str]) -> Outcome {
    let prefix = match args {
        ["--prefix", prefix] => Path::new(prefix),
        [one] if one.starts_with("--prefix=") => Path::new(&one["--prefix=".len()..]),
        _ => return Err("usage: cargo xtask install --prefix P".to_owned()),
    };
    let from = lay_out()?;
    for file in files_under(&from)? {
        let to = prefix.join(file.strip_prefix(&from).map_err(|e| e.to_string())?);
        copy(&file, &to)?;
        println!("{}", to.display());
    }
    Ok(())
}

fn files_under(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| at(folder, &e))? {
        let path = entry.map_err(|e| at(folder, &e))?.path();
        if path.is_dir() {
            files.extend(files_under(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Copies by writing a new file and renaming it: processes that have the old library mapped keep it.
fn copy(from: &Path, to: &Path) -> Outcome {
    let folder = to.parent().unwrap_or(to);
    make(folder)?;
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let fresh = folder.join(format!(".{name}.new"));
    fs::copy(from, &fresh).map_err(|e| at(&fresh, &e))?;
    fs::rename(&fresh, to).map_err(|e| at(to, &e))
}

fn make(folder: &Path) -> Outcome {
    fs::create_dir_all(folder).map_err(|e| at(folder, &e))
}

fn at(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
