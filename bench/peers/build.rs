//! Compiles each rival to a library that serves malloc for a whole program by LD_PRELOAD.
//!
//! Each is compiled from the sources in its package, with the defines and flags its own build uses for a library
//! that replaces malloc: no rival is reached through a forwarding function. mimalloc: its CMake's shared library.
//! rpmalloc: its ENABLE_OVERRIDE and ENABLE_PRELOAD. snmalloc: its shim, `malloc.cc` and `new.cc`, with its CMake's flags.
//! jemalloc: the position-independent archive that its own configure and make produced, made a shared library.

use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{MetadataCommand, Package};

fn main() {
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    let metadata = MetadataCommand::new()
        .exec()
        .expect("cargo metadata of the peers");
    let package = |name: &str| -> &Package {
        let found = metadata.packages.iter().find(|p| p.name.as_str() == name);
        found.unwrap_or_else(|| panic!("{name} is a dependency"))
    };
    let mut built = Vec::new();
    for (name, file, make) in [
        ("libmimalloc-sys", "libmimalloc3.so", mimalloc as Make),
        ("tikv-jemalloc-sys", "libjemalloc.so", jemalloc),
        ("snmalloc-sys", "libsnmalloc.so", snmalloc),
        ("rpmalloc-sys", "librpmalloc.so", rpmalloc),
    ] {
        let package = package(name);
        let root = package
            .manifest_path
            .parent()
            .expect("a manifest lies in a directory");
        run(&mut make(root.as_std_path(), &out.join(file)), file);
        let inside = inside(root.as_std_path());
        built.push(format!("{file}={name} {}{inside}", package.version));
    }
    println!("cargo::rustc-env=NEAP_PEERS={}", built.join(";"));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.lock");
}

/// The allocator's own version where its package has another: mimalloc's and rpmalloc's.
fn inside(root: &Path) -> String {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let header = read("c_src/mimalloc/v3/include/mimalloc.h");
    let defined = header
        .lines()
        .find_map(|l| l.strip_prefix("#define MI_MALLOC_VERSION"));
    let number = defined.and_then(|d| d.split_whitespace().next()?.parse::<u32>().ok());
    if let Some(n) = number {
        assert_eq!(n / 10_000, 3, "mimalloc 3 is wanted");
        return format!(" (mimalloc {}.{}.{})", n / 10_000, n / 100 % 100, n % 100);
    }
    let changes = read("rpmalloc/CHANGELOG");
    let latest = changes.lines().next().filter(|line| !line.is_empty());
    latest.map_or_else(String::new, |version| format!(" (rpmalloc {version})"))
}

/// Returns the command that makes the library from the sources in a package.
type Make = fn(&Path, &Path) -> Command;

/// The C or C++ compiler with what every rival's release build has in common.
fn compiler(cpp: bool, to: &Path) -> Command {
    let tool = cc::Build::new().cpp(cpp).cargo_metadata(false).get_compiler();
    let mut command = Command::new(tool.path());
    command
        .args([
            "-shared",
            "-fPIC",
            "-O3",
            "-DNDEBUG",
            "-w",
            "-ftls-model=initial-exec",
            "-o",
        ])
        .arg(to);
    command
}

fn mimalloc(root: &Path, to: &Path) -> Command {
    let root = root.join("c_src/mimalloc/v3");
    let mut command = compiler(false, to);
    command.args([
        "-std=gnu11",
        "-fvisibility=hidden",
        "-fno-builtin-malloc",
        "-DMI_BUILD_RELEASE",
    ]);
    command.args([
        "-DMI_MALLOC_OVERRIDE",
        "-DMI_SHARED_LIB",
        "-DMI_SHARED_LIB_EXPORT",
    ]);
    command
        .arg("-I")
        .arg(root.join("include"))
        .arg("-I")
        .arg(root.join("src"));
    command
        .arg(root.join("src/static.c"))
        .args(["-lpthread", "-lrt", "-latomic"]);
    command
}

fn jemalloc(_: &Path, to: &Path) -> Command {
    let built = std::env::var("DEP_JEMALLOC_ROOT").expect("jemalloc's crate says where it built");
    let mut command = compiler(false, to);
    command
        .arg("-Wl,--whole-archive")
        .arg(Path::new(&built).join("lib/libjemalloc_pic.a"));
    command.args(["-Wl,--no-whole-archive", "-lpthread", "-ldl", "-lm"]);
    command
}

fn snmalloc(root: &Path, to: &Path) -> Command {
    let root = root.join("upstream/src");
    let shim = root.join("snmalloc/override");
    let mut command = compiler(true, to);
    command.args([
        "-std=c++20",
        "-flto",
        "-mcx16",
        "-mprfchw",
        "-fno-rtti",
        "-fomit-frame-pointer",
    ]);
    command.args(["-ffunction-sections", "-fvisibility=hidden", "-static-libstdc++"]);
    command.arg("-DSNMALLOC_EXPORT=__attribute__((visibility(\"default\")))");
    command.args([
        "-DSNMALLOC_USE_WAIT_ON_ADDRESS=1",
        "-DSNMALLOC_USE_CXX11_THREAD_ATEXIT_DIRECT",
    ]);
    command.args([
        "-DSNMALLOC_HAS_LINUX_RANDOM_H",
        "-DSNMALLOC_HAS_LINUX_FUTEX_H",
        "-DSNMALLOC_CHECK_LOADS=false",
        "-DSNMALLOC_PAGEID=false",
    ]);
    command
        .arg("-I")
        .arg(&root)
        .arg(shim.join("malloc.cc"))
        .arg(shim.join("new.cc"));
    command.args(["-lpthread", "-latomic"]);
    command
}

fn rpmalloc(root: &Path, to: &Path) -> Command {
    let root = root.join("rpmalloc/rpmalloc");
    let mut command = compiler(false, to);
    command.args([
        "-std=c11",
        "-D_GNU_SOURCE=1",
        "-DENABLE_OVERRIDE=1",
        "-DENABLE_PRELOAD=1",
    ]);
    command.args(["-fomit-frame-pointer", "-funroll-loops", "-fno-builtin-malloc"]);
    command
        .arg("-I")
        .arg(&root)
        .arg(root.join("rpmalloc.c"))
        .args(["-lpthread", "-ldl"]);
    command
}

fn run(command: &mut Command, what: &str) {
    let status = command.status().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(status.success(), "{what}: {command:?}: {status}");
}
