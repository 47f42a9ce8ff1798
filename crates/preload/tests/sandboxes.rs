//! Sandboxes, which look closely at threads, credentials and system calls: bubblewrap and Chromium.

mod harness;

use harness::same::{LIMIT, Public, output, same_output, script};
use harness::{BACKENDS, Outcome, Stop, compile, conclude, plain, preloaded, program, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// bwrap with everything unshared, if that is possible here.
fn bubblewrap(command: &dyn Fn(&Path) -> Command) -> Outcome<Command> {
    let path = program("bwrap")?;
    let all = |mut command: Command| {
        command.args([
            "--bind",
            "/",
            "/",
            "--dev",
            "/dev",
            "--proc",
            "/proc",
            "--unshare-all",
        ]);
        command.args(["--die-with-parent", "--new-session"]);
        command
    };
    let mut probe = all(plain(&path));
    if !run(probe.arg("true"), LIMIT)?.status.success() {
        return Err(Stop::Skip("bubblewrap may make no namespaces here".to_owned()));
    }
    Ok(all(command(&path)))
}

#[test]
fn bubblewrap_starts_a_shell() {
    same_output(|command| {
        let told = "id -u; ls /proc | grep -c '^[0-9]'; seq 20000 | sort -rn | head -3";
        output(bubblewrap(command)?.args(["sh", "-c", told]))
    });
}

/// What a helper would spoil, inside: namespaces of users and processes, and no privileges.
#[test]
fn inside_bubblewrap_a_helper_is_not_noticed() {
    conclude((|| {
        let program = compile("helper_in_the_way.c", &[])?;
        for mode in BACKENDS {
            for which in [
                "fork",
                "bare_fork",
                "daemon",
                "unshare_user",
                "filter_kills",
                "capset",
            ] {
                let mut inside = bubblewrap(&|path| preloaded(path, mode))?;
                run(inside.arg(&program).arg(which), LIMIT)?
                    .success(&format!("{which} in bubblewrap [{}]", mode.name))?;
            }
        }
        Ok(())
    })());
}

/// bwrap begins right after a burst, in the process that had it.
#[test]
fn bubblewrap_after_a_burst() {
    same_output(|command| {
        let sandboxed = bubblewrap(command)?;
        let perl = "my @a = map { 'x' x ($_ % 3000) } 1 .. 40000; @a = (); exec @ARGV or die";
        let mut burst = command(&program("perl")?);
        burst
            .args(["-e", perl])
            .arg(sandboxed.get_program())
            .args(sandboxed.get_args());
        output(burst.args(["sh", "-c", "echo inside; id -u"]))
    });
}

fn chromium(path: PathBuf, command: &dyn Fn(&Path) -> Command, profile: &Path, page: &Path) -> Command {
    let mut browser = command(&path);
    browser
        .args([
            "--headless",
            "--disable-gpu",
            "--no-first-run",
            "--disable-dev-shm-usage",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg("--dump-dom")
        .arg(format!("file://{}", page.display()));
    browser
}

/// Debian's Chromium has malloc within, so this is about the functions that libneap.so wraps (prctl, syscall, clone,
/// setuid and so on), in a program of many processes.
#[test]
fn chromium_shows_a_page() {
    same_output(|command| {
        let public = Public::new("chromium")?;
        let profile = public.folder.join("profile");
        let mut browser = chromium(program("chromium")?, command, &profile, &script("page.html"));
        if is_root() {
            browser.arg("--no-sandbox");
        }
        output(&mut browser)
    });
}

/// As whom Chromium refuses its sandbox.
fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}

/// By an unprivileged user, so with its sandbox: namespaces, bare forks, seccomp filters.
#[test]
fn chromium_shows_a_page_in_its_sandbox() {
    same_output(|command| {
        let public = Public::new("chromium-sandboxed")?;
        let page = public.folder.join("page.html");
        std::fs::copy(script("page.html"), &page).map_err(|e| Stop::Fail(e.to_string()))?;
        let profile = public.folder.join("profile");
        let browser = chromium(program("chromium")?, command, &profile, &page);
        if !is_root() {
            return Err(Stop::Skip("not root, so nobody to change from".to_owned()));
        }
        let mut probe = public.as_nobody(plain(&program("unshare")?).args(["-U", "true"]))?;
        if !run(&mut probe, LIMIT)?.status.success() {
            return Err(Stop::Skip("users may make no namespaces here".to_owned()));
        }
        output(&mut public.as_nobody(&browser)?)
    });
}
