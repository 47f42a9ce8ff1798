//! The life of a process: before constructors, under dlopen, across fork, vfork, exec and exit, with
//! other credentials, in sandboxes, in strange environments.

mod harness;

use harness::{BACKENDS, BACKENDS_AND_CHECK, Finished, Mode, Outcome, Stop, WITHOUT_HELPER};
use harness::{
    compile, conclude, contract, contract_with, in_modes, library, preloaded, run, scratch, time_limit,
};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

#[test]
fn fork_in_a_threaded_program() {
    contract("fork_in_threads.c", &BACKENDS_AND_CHECK);
}

/// A test for each place and way of a fork.
macro_rules! forks {
    ($($test:ident: $which:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                contract_with("fork_matrix.c", &BACKENDS_AND_CHECK, &[$which]);
            }
        )*
    };
}

forks! {
    fork_handlers_allocate_and_fork: "handlers",
    forks_within_forks_of_a_threaded_program: "nested",
    fork_in_a_thread: "thread",
    fork_in_a_thread_that_outlived_main: "main_is_gone",
    daemon_of_a_threaded_program: "daemon",
    shells_of_a_threaded_program: "shells",
    bare_fork_of_a_threaded_program: "bare",
    bare_fork_of_a_program_of_one_thread: "bare_alone",
}

#[test]
fn fork_in_a_signal_handler() {
    contract("fork_in_signal_handler.c", &BACKENDS_AND_CHECK);
}

#[test]
fn bare_fork_in_a_signal_handler_of_a_threaded_program() {
    contract("bare_fork_in_threads.c", &BACKENDS_AND_CHECK);
}

#[test]
fn vfork_and_posix_spawn() {
    contract("vfork_exec.c", &BACKENDS_AND_CHECK);
}

#[test]
fn allocation_before_constructors() {
    contract("first_allocation_before_constructors.c", &BACKENDS_AND_CHECK);
}

/// Linked with a library that is initialised before all others, libneap.so included.
#[test]
fn the_first_allocation_comes_anywhere() {
    conclude(plugin().and_then(|plugin| {
        let early = compile("early.c", &["-shared", "-fPIC", "-Wl,-z,initfirst"])?;
        let early = early.to_str().unwrap_or_default();
        let program = compile("first_allocation_anywhere.cpp", &[early, "-ldl"])?;
        in_modes(
            &program,
            &BACKENDS_AND_CHECK,
            &[plugin.to_str().unwrap_or_default()],
        )
        .map(drop)
    }));
}

#[test]
fn a_process_ends_with_blocks_alive_and_threads_at_work() {
    contract("ends_with_live_blocks.c", &BACKENDS_AND_CHECK);
}

#[test]
fn allocation_while_the_process_exits() {
    contract("free_in_atexit.c", &BACKENDS_AND_CHECK);
}

#[test]
fn a_process_ends_as_it_wants_while_memory_is_given_back() {
    contract("ends_while_giving_back.c", &BACKENDS);
}

fn plugin() -> Outcome<std::path::PathBuf> {
    compile("plugin.c", &["-shared", "-fPIC"])
}

#[test]
fn libraries_that_allocate_come_and_go() {
    conclude(plugin().and_then(|plugin| {
        let program = compile("dlopen_dlclose_loop.c", &["-ldl"])?;
        in_modes(
            &program,
            &BACKENDS_AND_CHECK,
            &[plugin.to_str().unwrap_or_default()],
        )
        .map(drop)
    }));
}

#[test]
fn the_library_itself_can_be_opened_late() {
    conclude(compile("dlopen_of_the_library.c", &["-ldl"]).and_then(|program| {
        for mode in BACKENDS {
            let mut command = harness::plain(&program);
            command.envs(mode.environment.iter().copied()).arg(library());
            run(&mut command, time_limit())?.success("dlopen of libneap.so")?;
        }
        Ok(())
    }));
}

#[test]
fn no_thread_keeps_dropped_privileges() {
    for how in ["setuid", "setresuid", "setreuid", "seteuid"] {
        contract_with("dropped_privileges.c", &BACKENDS, &[how]);
    }
}

#[test]
fn a_set_user_id_program_ignores_the_environment() {
    conclude(set_user_id());
}

fn set_user_id() -> Outcome {
    // Another user must be able to reach it, and a target directory may lie in a private place.
    let folder = std::env::temp_dir().join(format!("neap-secure-{}", std::process::id()));
    let io = |e: std::io::Error| Stop::Fail(e.to_string());
    fs::create_dir_all(&folder).map_err(io)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).map_err(io)?;
    let name = library();
    fs::copy(&name, folder.join("libneap.so")).map_err(io)?;
    let at = folder.display();
    let flags = [
        format!("-L{at}"),
        "-Wl,--no-as-needed".into(),
        "-lneap".into(),
        format!("-Wl,-rpath,{at}"),
    ];
    let linked = compile("secure_execution.c", &flags.each_ref().map(String::as_str));
    let outcome = linked.and_then(|linked| {
        let program = folder.join("program");
        fs::copy(&linked, &program).map_err(io)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).map_err(io)?;
        let mut command = Command::new(linked);
        let finished = run(command.arg(&program), time_limit())?.success("set-user-ID program")?;
        silent(&finished)
    });
    let _ = fs::remove_dir_all(&folder);
    outcome
}

fn silent(finished: &Finished) -> Outcome {
    if finished.stderr.is_empty() {
        Ok(())
    } else {
        Err(Stop::Fail(finished.describe("prints something")))
    }
}

/// Everything beyond the bare necessities at once, as a sandbox would; `refusals.rs` has them one by one.
#[test]
fn a_filter_may_refuse_calls() {
    for when in ["early", "late"] {
        for error in ["EPERM", "ENOSYS"] {
            let all = [
                when,
                error,
                "clone",
                "clone3",
                "process_madvise",
                "mremap",
                "membarrier",
                "sched_yield",
            ];
            contract_with("seccomp_refuses.c", &BACKENDS_AND_CHECK, &all);
        }
    }
}

#[test]
fn a_filter_that_kills_finds_no_reason() {
    contract_with("seccomp_kills.c", &BACKENDS_AND_CHECK, &["late"]);
    // Nobody can ask a filter what it would do, so one that was there first is the user's to name.
    contract_with("seccomp_kills.c", &WITHOUT_HELPER, &["early"]);
}

/// Runs the program with one variable set and returns what it wrote on standard error.
fn with_variable(program: &std::path::Path, name: &str, value: &str) -> Outcome<String> {
    let bare = Mode {
        name: "default",
        environment: &[],
    };
    let mut command = preloaded(program, bare);
    command.env(name, value);
    let shown: String = value.chars().take(60).collect();
    let finished = run(&mut command, time_limit())?.success(&format!("{name}={shown:?}"))?;
    if finished.stdout == "ran\n" {
        Ok(finished.stderr)
    } else {
        Err(Stop::Fail(finished.describe(name)))
    }
}

#[test]
fn a_bad_value_costs_one_line_and_the_default_is_kept() {
    conclude(compile("any_environment.c", &[]).and_then(|program| {
        let long = "x".repeat(100_000);
        let bad = [
            "xyz",
            "%n%n%s",
            "MMAP",
            "mmap ",
            "-1",
            "\u{1b}[31m",
            "auto,off",
            long.as_str(),
        ];
        for name in ["NEAP_BACKEND", "NEAP_HELPER", "NEAP_CHECK"] {
            for value in bad {
                let said = with_variable(&program, name, value)?;
                let one_line =
                    said.starts_with("neap: ") && said.matches('\n').count() == 1 && said.ends_with('\n');
                let plain = said.bytes().all(|b| b == b'\n' || (0x20..0x7f).contains(&b));
                if !one_line || !plain || !said.contains(name) || said.len() > 512 {
                    let value: String = value.chars().take(60).collect();
                    return Err(Stop::Fail(format!("{name}={value:?} made it say {said:?}")));
                }
            }
        }
        Ok(())
    }));
}

#[test]
fn a_good_value_costs_no_line() {
    conclude(compile("any_environment.c", &[]).and_then(|program| {
        let good = [
            ("NEAP_BACKEND", "mmap"),
            ("NEAP_BACKEND", "brk"),
            ("NEAP_BACKEND", ""),
            ("NEAP_HELPER", "auto"),
            ("NEAP_HELPER", "off"),
            ("NEAP_CHECK", "0"),
            ("NEAP_CHECK", "1"),
            (
                "GLIBC_TUNABLES",
                "glibc.malloc.mmap_threshold=131072:glibc.malloc.perturb=85",
            ),
        ];
        for (name, value) in good {
            let said = with_variable(&program, name, value)?;
            if !said.is_empty() {
                return Err(Stop::Fail(format!("{name}={value:?} made it say {said:?}")));
            }
        }
        Ok(())
    }));
}

#[test]
fn no_environment_breaks_a_program() {
    conclude(compile("any_environment.c", &[]).and_then(|program| {
        let folder = scratch("board");
        let short = folder.join("short");
        fs::write(&short, "short").map_err(|e| Stop::Fail(e.to_string()))?;
        let wrong = folder.join("wrong");
        fs::write(&wrong, vec![0xa5; 3 * 4096]).map_err(|e| Stop::Fail(e.to_string()))?;
        let here = folder.display().to_string();
        let (short, wrong) = (short.display().to_string(), wrong.display().to_string());
        let boards = [
            "",
            "/",
            "/no/such/file",
            "/dev/null",
            "/dev/zero",
            "/proc/self/mem",
            "%n",
            &here,
            &short,
            &wrong,
        ];
        for board in boards {
            with_variable(&program, "NEAP_BOARD", board)?;
        }
        let tunables = [
            "glibc.malloc.mmap_threshold=",
            "glibc.malloc.mmap_threshold=99999999999999999999999",
            "glibc.malloc.top_pad=18446744073709551615",
            "glibc.malloc.mmap_max=0:glibc.malloc.mmap_threshold=0:glibc.malloc.trim_threshold=0",
            "glibc.malloc.:=:::glibc.malloc",
            "glibc.malloc.arena_max=0x",
        ];
        for tunable in tunables {
            with_variable(&program, "GLIBC_TUNABLES", tunable)?;
        }
        // No environment at all but the preload itself.
        let mut command = Command::new(&program);
        command.env_clear().env("LD_PRELOAD", library());
        run(&mut command, time_limit())?
            .success("without an environment")
            .map(drop)
    }));
}
