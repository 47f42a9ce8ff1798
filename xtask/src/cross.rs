//! `cargo xtask cross`: that everything compiles for aarch64, and that its libneap.so serves programs.
//!
//! What is missing on this machine is skipped by name: the standard library for the target (`rustup target
//! add aarch64-unknown-linux-gnu`), the cross compiler (gcc-aarch64-linux-gnu, libc6-dev-arm64-cross), the
//! emulator (qemu-user). The emulator runs the processor's instructions over this machine's kernel, and
//! answers some memory calls itself: it shows that the assembly is right, not that the kernel's calls are.

use crate::Outcome;
use crate::artifacts::{cargo, check, root, target};
use std::path::Path;
use std::process::Command;

const TARGET: &str = "aarch64-unknown-linux-gnu";
const COMPILER: &str = "aarch64-linux-gnu-gcc";
const EMULATOR: &str = "qemu-aarch64";
/// Where Debian's cross packages put the C library.
const LIBRARIES: &str = "/usr/aarch64-linux-gnu";

const CRATES: [&str; 7] = ["os", "abi", "heap", "preload", "map", "proc", "neap"];

/// Programs of the preload tests that ask for nothing an emulator lacks.
const PROGRAMS: [&str; 8] = [
    "alignment_is_16",
    "calloc_is_zero",
    "mixed_random_oracle",
    "realloc_keeps_contents",
    "sized_free",
    "producer_consumer",
    "thread_only_frees",
    "usable_bytes_are_writable",
];

/// Checks, builds and runs what this machine can.
pub(crate) fn run() -> Outcome {
    if !has_standard_library()? {
        println!("skipped: cross: no standard library (rustup target add {TARGET})");
        return Ok(());
    }
    let mut compile = cargo("check");
    compile.args(["--quiet", "--target", TARGET]);
    for name in CRATES {
        let package = if name == "neap" {
            name.to_owned()
        } else {
            format!("neap-{name}")
        };
        compile.args(["-p", &package]);
    }
    check(&mut compile)?;
    println!("{TARGET}: every crate compiles");
    for (program, package) in [
        (COMPILER, "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"),
        (EMULATOR, "qemu-user"),
    ] {
        if Command::new(program).arg("--version").output().is_err() {
            println!("skipped: cross: no {program} ({package}): nothing is run");
            return Ok(());
        }
    }
    let mut build = cargo("build");
    build.args(["--quiet", "--release", "--target", TARGET, "-p", "neap-preload"]);
    build.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", COMPILER);
    check(&mut build)?;
    let library = target()?.join(TARGET).join("release/libneap.so");
    let folder = target()?.join("cross");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for name in PROGRAMS {
        one(name, &library, &folder)?;
    }
    println!(
        "{TARGET}: {} programs pass under libneap.so and {EMULATOR}",
        PROGRAMS.len()
    );
    Ok(())
}

/// Compiles one program and runs it, with checking mode and without.
fn one(name: &str, library: &Path, folder: &Path) -> Outcome {
    let source = root().join("crates/preload/tests/c").join(format!("{name}.c"));
    let program = folder.join(name);
    let mut compile = Command::new(COMPILER);
    compile
        .args(["-O1", "-D_GNU_SOURCE", "-o"])
        .arg(&program)
        .arg(&source)
        .arg("-lpthread");
    check(&mut compile)?;
    for mode in ["0", "1"] {
        let mut emulated = Command::new(EMULATOR);
        emulated
            .args(["-L", LIBRARIES, "-E"])
            .arg(format!("LD_PRELOAD={}", library.display()));
        emulated.args(["-E", &format!("NEAP_CHECK={mode}")]).arg(&program);
        check(&mut emulated)?;
    }
    Ok(())
}

fn has_standard_library() -> Outcome<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let answer = Command::new(rustc).args(["--print", "sysroot"]).output();
    let answer = answer.map_err(|e| format!("rustc --print sysroot: {e}"))?;
    let sysroot = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    Ok(Path::new(&sysroot)
        .join("lib/rustlib")
        .join(TARGET)
        .join("lib")
        .is_dir())
}
