//! A program that breaks its heap is stopped by one line that says how, where, and the size class.

mod harness;

use harness::{
    BACKENDS, BRK_CHECK, Finished, MMAP_CHECK, Mode, Stop, compile, conclude, preloaded, run, time_limit,
};
use std::os::unix::process::ExitStatusExt as _;

const CHECKED: [Mode; 2] = [MMAP_CHECK, BRK_CHECK];
const SIGABRT: i32 = 6;

/// Where the line's address must be.
#[derive(Clone, Copy)]
enum Address {
    /// The one that the program printed.
    Printed,
    /// Some block's.
    Any,
}

fn stops(program: &str, modes: &[Mode], arguments: &[&str], kinds: &[&str], address: Address) {
    conclude(compile(program, &[]).and_then(|path| {
        for &mode in modes {
            let finished = run(preloaded(&path, mode).args(arguments), time_limit())?;
            let what = format!(
                "{program} {} [{}], wanted {kinds:?}",
                arguments.join(" "),
                mode.name
            );
            judge(&finished, kinds, address)
                .map_err(|why| Stop::Fail(format!("{why}\n{}", finished.describe(&what))))?;
        }
        Ok(())
    }));
}

fn judge(finished: &Finished, kinds: &[&str], address: Address) -> Result<(), &'static str> {
    let line = finished.stderr.as_str();
    let printed = finished.stdout.trim();
    if finished.status.signal() != Some(SIGABRT) {
        return Err("did not end by SIGABRT");
    }
    if line.matches('\n').count() != 1 || !line.ends_with('\n') {
        return Err("did not print exactly one line");
    }
    if !line.starts_with("neap: ") || !kinds.iter().any(|kind| line.contains(kind)) {
        return Err("the line does not name the kind");
    }
    if !line.contains("size class") {
        return Err("the line does not name the size class");
    }
    match address {
        Address::Printed
            if !line
                .split([' ', ',', ':', '('])
                .any(|word| word.trim() == printed) =>
        {
            Err("the line does not name the address")
        }
        Address::Any if !line.contains("0x") => Err("the line names no address"),
        _ => Ok(()),
    }
}

#[test]
fn double_free_stops_the_program() {
    for size in ["1", "48", "1000", "20000", "200000", "3000000"] {
        stops(
            "double_free.c",
            &CHECKED,
            &[size, "0"],
            &["double free"],
            Address::Printed,
        );
        stops(
            "double_free.c",
            &CHECKED,
            &[size, "20"],
            &["double free"],
            Address::Printed,
        );
    }
}

/// Once unmapped, the address is nobody's, and the line may say so.
#[test]
fn double_free_of_a_mapping_stops_the_program() {
    stops(
        "double_free.c",
        &CHECKED,
        &["50000000", "0"],
        &["double free", "foreign"],
        Address::Printed,
    );
}

#[test]
fn double_free_at_once_stops_the_program_by_default() {
    for size in ["1", "48", "1000", "20000", "200000"] {
        stops(
            "double_free.c",
            &BACKENDS,
            &[size, "0"],
            &["double free"],
            Address::Any,
        );
    }
}

#[test]
fn free_of_a_foreign_pointer_stops_the_program() {
    for place in ["stack", "static", "code", "mapping", "nonsense"] {
        stops(
            "free_foreign.c",
            &BACKENDS,
            &[place],
            &["foreign"],
            Address::Printed,
        );
        stops(
            "free_foreign.c",
            &CHECKED,
            &[place],
            &["foreign"],
            Address::Printed,
        );
    }
}

#[test]
fn free_of_an_interior_pointer_stops_the_program() {
    for [size, offset] in [
        ["48", "16"],
        ["1000", "512"],
        ["1000", "8"],
        ["20000", "4096"],
        ["300000", "65536"],
        ["3000000", "4096"],
        ["50000000", "1048576"],
    ] {
        stops(
            "free_interior.c",
            &CHECKED,
            &[size, offset],
            &["interior"],
            Address::Printed,
        );
    }
}

#[test]
fn a_smashed_list_stops_the_program() {
    for size in ["16", "48", "1000"] {
        stops(
            "smashed_list.c",
            &CHECKED,
            &[size],
            &["write after free", "smashed"],
            Address::Any,
        );
    }
}

/// Every contract program of `tests/c` belongs to a test.
#[test]
fn no_program_is_forgotten() {
    let folder = harness::tests();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let tests = [
        "contracts.rs",
        "threads.rs",
        "process.rs",
        "attacks.rs",
        "brk.rs",
        "giveback.rs",
        "misuse.rs",
        "helper.rs",
        "limits.rs",
        "refusals.rs",
    ]
    .map(read)
    .concat();
    for file in std::fs::read_dir(folder.join("c")).unwrap() {
        let name = file.unwrap().file_name().to_string_lossy().into_owned();
        assert!(
            name.ends_with(".h") || tests.contains(&name),
            "no test runs {name}"
        );
    }
}
