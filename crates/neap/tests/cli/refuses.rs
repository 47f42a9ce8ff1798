//! What cannot be served is refused before it starts, with the cause and the way out.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

use crate::support::{compile, folder, library, neap, neap_run, skip, stderr};

const EMPTY: &str = "int main(void) { return 0; }\n";

/// A library that passes for libneap.so as long as nothing runs.
fn stub(test: &str, folder: &TempDir) -> Option<PathBuf> {
    let source = "#include <stddef.h>\nvoid *malloc(size_t n) { return 0; }\nvoid free(void *p) {}\n";
    compile(test, folder, "stub.so", source, &["-shared", "-fPIC"])
}

#[track_caller]
fn assert_refused(output: &Output, code: i32, parts: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(output.stdout.is_empty());
    for part in parts.iter().chain(&["why:", "mend:"]) {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
}

fn executable(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_command_that_is_not_there() {
    for command in ["no-such-command", "/no/such/command", ""] {
        assert_refused(
            &neap().args(["run", "--", command]).output().unwrap(),
            127,
            &["cannot run"],
        );
    }
}

#[test]
fn what_may_not_be_executed() {
    for (command, why) in [
        ("/tmp", "it is a folder"),
        ("/proc/version", "may not be executed"),
    ] {
        assert_refused(&neap().args(["run", command]).output().unwrap(), 126, &[why]);
    }
}

#[test]
fn a_missing_library() {
    let output = neap()
        .args(["run", "--lib", "/nowhere/libneap.so", "true"])
        .output()
        .unwrap();
    assert_refused(
        &output,
        126,
        &[
            "cannot find libneap.so",
            "/nowhere/libneap.so",
            "cargo xtask build",
        ],
    );
    let output = neap()
        .args(["run", "true"])
        .env("NEAP_LIB", "/nowhere/too.so")
        .output()
        .unwrap();
    assert_refused(&output, 126, &["/nowhere/too.so (NEAP_LIB)"]);
}

#[test]
fn a_library_that_is_none() {
    let output = neap().args(["run", "--lib", "/bin/sh", "true"]).output().unwrap();
    assert_refused(&output, 126, &["cannot use /bin/sh"]);
}

#[test]
fn a_static_program_unless_forced() {
    let (test, folder) = ("a_static_program_unless_forced", folder());
    let Some(stub) = stub(test, &folder) else { return };
    let Some(program) = compile(test, &folder, "static", EMPTY, &["-static"]) else {
        return;
    };
    let output = neap_run(&stub).arg(&program).output().unwrap();
    assert_refused(
        &output,
        126,
        &["cannot serve", "linked statically", "neap_heap::Neap", "--force"],
    );
    let forced = neap_run(&stub).arg("--force").arg(&program).output().unwrap();
    assert_eq!(forced.status.code(), Some(0));
    assert!(
        stderr(&forced).contains("never loaded libneap.so"),
        "{}",
        stderr(&forced)
    );
}

#[test]
fn a_script_whose_interpreter_is_static() {
    let (test, folder) = ("a_script_whose_interpreter_is_static", folder());
    let Some(stub) = stub(test, &folder) else { return };
    let Some(program) = compile(test, &folder, "static", EMPTY, &["-static"]) else {
        return;
    };
    for line in [
        format!("#!{} -x\n", program.display()),
        format!("#!/usr/bin/env {}\n", program.display()),
    ] {
        let script = executable(&folder, "script", &line);
        let output = neap_run(&stub).arg(script).output().unwrap();
        assert_refused(
            &output,
            126,
            &["linked statically", &format!("where: {}", program.display())],
        );
    }
}

#[test]
fn a_script_whose_interpreter_is_missing() {
    let (test, folder) = ("a_script_whose_interpreter_is_missing", folder());
    let Some(stub) = stub(test, &folder) else { return };
    let script = executable(&folder, "script", "#!/no/such/shell\n");
    let output = neap_run(&stub).arg(script).output().unwrap();
    assert_refused(&output, 126, &["/no/such/shell, which is not there"]);
}

#[test]
fn a_setuid_program_of_another_user() {
    let (test, folder) = ("a_setuid_program_of_another_user", folder());
    let Some(stub) = stub(test, &folder) else { return };
    let copy = folder.path().join("setuid");
    std::fs::copy("/bin/true", &copy).unwrap();
    if chown(&copy, Some(65534), None).is_err() {
        skip(test, "only root can make a program of another user");
        return;
    }
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o4755)).unwrap();
    let output = neap_run(&stub).arg(&copy).output().unwrap();
    if output.status.success() {
        skip(test, &format!("{} is on a nosuid mount", folder.path().display()));
        return;
    }
    assert_refused(
        &output,
        126,
        &["it is setuid", "ignores LD_PRELOAD", "cp makes one"],
    );
}

#[test]
fn a_musl_program() {
    let (test, folder) = ("a_musl_program", folder());
    let Some(stub) = stub(test, &folder) else { return };
    let flags = ["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"];
    let Some(program) = compile(test, &folder, "musl", EMPTY, &flags) else {
        return;
    };
    let output = neap_run(&stub).arg(program).output().unwrap();
    assert_refused(
        &output,
        126,
        &["it is a musl program", "ld-musl-x86_64.so.1", "glibc"],
    );
}

#[test]
fn a_program_whose_loader_is_missing() {
    let (test, folder) = ("a_program_whose_loader_is_missing", folder());
    let Some(stub) = stub(test, &folder) else { return };
    let flags = ["-Wl,--dynamic-linker=/lib/ld-gone.so.9"];
    let Some(program) = compile(test, &folder, "gone", EMPTY, &flags) else {
        return;
    };
    assert_refused(
        &neap_run(&stub).arg(program).output().unwrap(),
        126,
        &["/lib/ld-gone.so.9, which is not there"],
    );
}

#[test]
fn a_program_of_another_machine() {
    let (test, folder) = ("a_program_of_another_machine", folder());
    let Some(stub) = stub(test, &folder) else { return };
    let Some(program) = compile(test, &folder, "other", EMPTY, &[]) else {
        return;
    };
    // e_machine is at offset 18; 243 is RISC-V.
    let mut bytes = std::fs::read(&program).unwrap();
    bytes[18] = 243;
    std::fs::write(&program, bytes).unwrap();
    let output = neap_run(&stub).arg(program).output().unwrap();
    assert_refused(&output, 126, &["it is built for riscv"]);
}

#[test]
fn a_program_with_a_malloc_of_its_own() {
    let (test, folder) = ("a_program_with_a_malloc_of_its_own", folder());
    let Some(stub) = stub(test, &folder) else { return };
    let source = "#include <stddef.h>\nvoid *malloc(size_t n) { return 0; }\nvoid free(void *p) {}\n\
                  int main(void) { free(malloc(1)); return 0; }\n";
    for flags in [&["-rdynamic"][..], &[][..]] {
        let Some(program) = compile(test, &folder, "own", source, flags) else {
            return;
        };
        let output = neap_run(&stub).arg(program).output().unwrap();
        assert_refused(&output, 126, &["defines malloc and free itself", "build options"]);
    }
}

#[test]
fn a_program_that_mixes_two_allocators() {
    let (test, folder) = ("a_program_that_mixes_two_allocators", folder());
    let Some(stub) = stub(test, &folder) else { return };
    let source = "void *mallocx(unsigned long, int);\nint main(void) { return mallocx(1, 0) == 0; }\n";
    let other = "void *mallocx(unsigned long n, int flags) { return 0; }\n";
    let Some(other) = compile(test, &folder, "libother.so", other, &["-shared", "-fPIC"]) else {
        return;
    };
    let Some(program) = compile(test, &folder, "mixed", source, &[&other.display().to_string()]) else {
        return;
    };
    assert_refused(
        &neap_run(&stub).arg(program).output().unwrap(),
        126,
        &["it calls mallocx"],
    );
}

#[test]
fn a_program_with_a_second_allocator_is_run_and_warned_about() {
    let test = "a_program_with_a_second_allocator_is_run_and_warned_about";
    let Some(library) = library(test) else { return };
    let folder = folder();
    let source = "void *mi_malloc(unsigned long n) { return 0; }\nint main(void) { return 0; }\n";
    let Some(program) = compile(test, &folder, "second", source, &[]) else {
        return;
    };
    let output = neap_run(&library).arg(program).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stderr(&output).contains("an allocator of its own (mi_malloc)"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn wrong_calls_of_neap() {
    for arguments in [
        &["run"][..],
        &["run", "--interval", "1us", "true"],
        &["run", "--max-rss", "lots", "true"],
        &["run", "--backend", "heap", "true"],
        &["run", "--no-such-option", "true"],
        &["walk"],
        &[],
    ] {
        let output = neap().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_report_that_cannot_be_written_costs_no_run() {
    let (test, folder) = ("a_report_that_cannot_be_written_costs_no_run", folder());
    let Some(stub) = stub(test, &folder) else { return };
    let witness = folder.path().join("ran");
    let output = neap_run(&stub)
        .args(["-o", "/no/such/folder/x", "touch"])
        .arg(&witness)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    assert!(!Path::exists(&witness));
}
