//! The two things a release build makes, libneap.so and the command `neap`, and where they lie.

use crate::Outcome;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, IsTerminal as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The built files.
pub(crate) struct Built {
    pub(crate) library: PathBuf,
    pub(crate) command: PathBuf,
}

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// The target directory in use, whatever CARGO_TARGET_DIR or a cargo configuration made of it:
/// this program lies in `TARGET/PROFILE/xtask`.
pub(crate) fn target() -> Outcome<PathBuf> {
    let exe = std::env::current_exe().map_err(|e| format!("cannot find this program's own path: {e}"))?;
    exe.ancestors()
        .nth(2)
        .map(Path::to_owned)
        .ok_or_else(|| "xtask lies outside a target directory".to_owned())
}

/// A cargo command for this workspace that leaves the current directory alone.
pub(crate) fn cargo(verb: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .arg(verb)
        .arg("--manifest-path")
        .arg(root().join("Cargo.toml"));
    cargo
}

/// Runs a command to its end; an exit status other than 0 is an error that names it.
pub(crate) fn check(command: &mut Command) -> Outcome {
    let shown = show(command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown}: {status}")),
        Err(e) => Err(format!("{shown}: {e}")),
    }
}

/// A command as one would type it.
pub(crate) fn show(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|w| w.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Builds both. Silent when nothing had to be compiled; what cargo said is shown when it compiles
/// something at a terminal, and when it fails.
pub(crate) fn build() -> Outcome<Built> {
    let mut command = cargo("build");
    command
        .args(["--release", "-p", "neap-preload", "-p", "neap"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let terminal = std::io::stderr().is_terminal();
    if terminal && std::env::var_os("NO_COLOR").is_none() {
        command.arg("--color=always");
    }
    let mut child = command.spawn().map_err(|e| format!("{}: {e}", show(&command)))?;
    let mut said = Vec::new();
    let mut busy = false;
    for line in child
        .stderr
        .take()
        .map(BufReader::new)
        .into_iter()
        .flat_map(BufReader::lines)
    {
        let line = line.unwrap_or_default();
        busy |= line.contains("Compiling") || line.contains("Blocking") || line.contains("Updating");
        if busy && terminal {
            eprintln!("{line}");
        } else {
            said.push(line);
        }
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    if !status.success() {
        said.push(format!("{}: {status}", show(&command)));
        return Err(said.join("\n"));
    }
    let release = target()?.join("release");
    let built = Built {
        library: release.join("libneap.so"),
        command: release.join("neap"),
    };
    for file in [&built.library, &built.command] {
        if !file.is_file() {
            return Err(format!("cargo built no {}", file.display()));
        }
    }
    Ok(built)
}

/// `cargo neap ARGS`: builds both and becomes the command.
pub(crate) fn neap(args: &[OsString]) -> Outcome {
    let built = build()?;
    let mut command = Command::new(&built.command);
    command.args(args).env("NEAP_LIB", &built.library);
    without_cargo(&mut command)?;
    Err(format!("{}: {}", built.command.display(), command.exec()))
}

/// Takes away what `cargo run` put into the environment, so that a program under `cargo neap run`
/// sees the environment of the shell.
fn without_cargo(command: &mut Command) -> Outcome {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let set_by_cargo = text == "CARGO"
            || text == "RUST_RECURSION_COUNT"
            || text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_");
        if set_by_cargo {
            command.env_remove(&name);
        }
    }
    if let Some(paths) = std::env::var_os("LD_LIBRARY_PATH") {
        let target = target()?;
        let cargos =
            |p: &PathBuf| p.starts_with(&target) || p.components().any(|c| c.as_os_str() == "rustlib");
        let toolchain = |p: &PathBuf| p.join("rustlib").is_dir();
        let kept: Vec<PathBuf> = std::env::split_paths(&paths)
            .filter(|p| !cargos(p) && !toolchain(p))
            .collect();
        if kept.iter().all(|p| p.as_os_str().is_empty()) {
            command.env_remove("LD_LIBRARY_PATH");
        } else {
            command.env(
                "LD_LIBRARY_PATH",
                std::env::join_paths(kept).map_err(|e| e.to_string())?,
            );
        }
    }
    Ok(())
}
