//! Link settings of libneap.so: its name, and that it is never unloaded (threads' ends and fork call
//! into it).
fn main() {
    for arg in [
        "-Wl,-soname,libneap.so",
        "-Wl,-z,nodelete",
        "-Wl,-z,relro",
        "-Wl,-z,now",
    ] {
        println!("cargo:rustc-cdylib-link-arg={arg}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
