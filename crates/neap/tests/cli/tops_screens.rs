//! The screens of `neap top`, in a real terminal: one of tmux.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{compile, folder, library, missing, skip, wait_until};
use crate::tops::{Held, signal, sleeper};

/// A terminal of tmux, with a shell that runs `neap top` and tells how it left the terminal.
struct Pane {
    socket: String,
    folder: tempfile::TempDir,
}

impl Pane {
    /// `None` skips the test that called.
    fn new(test: &str, size: (u16, u16), arguments: &str, environment: &str) -> Option<Pane> {
        if Command::new("tmux").arg("-V").output().is_err() {
            missing(test, "tmux is not installed");
            return None;
        }
        let pane = Pane {
            socket: format!("neap-{}-{test}", std::process::id()),
            folder: folder(),
        };
        let at = |name: &str| pane.file(name).display().to_string();
        let script = format!(
            "stty -g > {}; env LC_ALL=C.UTF-8 {environment} {} top {arguments}; \
             echo $? > {}; stty -g > {}; exec sleep 5000",
            at("before"),
            env!("CARGO_BIN_EXE_neap"),
            at("code"),
            at("after"),
        );
        let (columns, lines) = (size.0.to_string(), size.1.to_string());
        pane.tmux(&[
            "new-session",
            "-d",
            "-s",
            "neap",
            "-x",
            &columns,
            "-y",
            &lines,
            &script,
        ]);
        Some(pane)
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command
            .args(["-u", "-f", "/dev/null", "-L", &self.socket])
            .args(arguments);
        // A tmux that tests are run in is none of theirs.
        let output = command.env_remove("TMUX").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn keys(&self, keys: &[&str]) {
        let mut arguments = vec!["send-keys", "-t", "neap"];
        arguments.extend(keys);
        self.tmux(&arguments);
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", "neap"])
    }

    #[track_caller]
    fn shows(&self, text: &str) -> String {
        wait_until(&format!("`{text}` on the screen"), || {
            self.screen().contains(text)
        });
        self.screen()
    }

    fn says(&self, format: &str) -> String {
        let text = self.tmux(&["display-message", "-p", "-t", "neap", format]);
        text.trim().to_owned()
    }

    /// The pid of neap, a child of the pane's shell.
    fn neap(&self) -> u32 {
        let shell = self.says("#{pane_pid}");
        let children = format!("/proc/{shell}/task/{shell}/children");
        let mut found = None;
        wait_until("neap to run", || {
            let pids = std::fs::read_to_string(&children).unwrap_or_default();
            found = pids.split_whitespace().find_map(|pid| {
                let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
                (comm == "neap\n").then(|| pid.parse().unwrap())
            });
            found.is_some()
        });
        found.unwrap()
    }

    /// neap has ended, and the terminal is as it was. Its exit code as the shell tells it.
    #[track_caller]
    fn restored(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.file(name)).unwrap_or_default();
        wait_until("neap to end", || read("after").ends_with('\n'));
        assert_eq!(read("before"), read("after"), "stty -g tells every setting");
        assert_eq!(self.says("#{alternate_on} #{cursor_flag}"), "0 1");
        read("code").trim().to_owned()
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        let _ = Command::new("tmux")
            .args(["-L", &self.socket, "kill-server"])
            .output();
    }
}

#[test]
fn keys_do_what_the_help_says() {
    let held = sleeper("1005");
    let Some(pane) = Pane::new("keys_do_what_the_help_says", (80, 24), "--interval 200ms", "") else {
        return;
    };
    pane.shows("PSS▼");
    assert_eq!(pane.says("#{alternate_on}"), "1");
    pane.keys(&["r"]);
    pane.shows("RSS▼");
    pane.keys(&["r"]);
    pane.shows("RSS▲");
    pane.keys(&["?"]);
    pane.shows("any key closes");
    pane.keys(&["x"]);
    pane.keys(&["/", "sleep 1005", "Enter"]);
    let screen = pane.shows("filter: sleep 1005");
    assert!(
        screen.contains(&held.0.id().to_string()) && !screen.contains("tmux"),
        "{screen}"
    );
    pane.tmux(&["resize-window", "-t", "neap", "-x", "120", "-y", "40"]);
    pane.shows("GROWTH/s");
    pane.tmux(&["resize-window", "-t", "neap", "-x", "60", "-y", "20"]);
    wait_until("a narrow screen", || !pane.screen().contains("GROWTH/s"));
    assert!(pane.screen().lines().all(|line| line.chars().count() <= 60));
    pane.keys(&["Space"]);
    pane.shows("FROZEN");
    pane.keys(&["Space", "q"]);
    assert_eq!(pane.restored(), "0");
}

#[test]
fn a_process_is_watched_until_it_ends() {
    let mut held = sleeper("1006");
    let pid = held.0.id().to_string();
    let arguments = format!("{pid} --interval 200ms");
    let Some(pane) = Pane::new("a_process_is_watched_until_it_ends", (80, 24), &arguments, "") else {
        return;
    };
    let screen = pane.shows("RSS by kind over");
    assert!(
        screen.contains("sleep 1006") && screen.contains("library"),
        "{screen}"
    );
    pane.keys(&["Escape"]);
    pane.shows("PSS▼");
    pane.keys(&["/", "sleep 1006", "Enter", "i"]);
    pane.shows("filter: sleep 1006");
    pane.keys(&["Enter"]);
    pane.shows("RSS by kind over");
    let opened = pane.screen();
    let shown: String = opened.split_whitespace().nth(2).unwrap().to_owned();
    if shown == pid {
        held.0.kill().unwrap();
        held.0.wait().unwrap();
        let screen = pane.shows("HAS ENDED");
        assert!(screen.contains("library"), "the last picture stays: {screen}");
    }
    pane.keys(&["q"]);
    assert_eq!(pane.restored(), "0");
}

/// Frees 64 MiB that nobody gives back: there is no helper, and the program allocates no more.
const IDLE: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    static char *blocks[1024];
    for (int i = 0; i < 1024; i++) memset(blocks[i] = malloc(65536), 1, 65536);
    for (int i = 0; i < 1024; i++) free(blocks[i]);
    if (write(1, "ready\n", 6) != 6) return 1;
    for (;;) pause();
}
"#;

#[test]
fn the_key_t_has_a_process_give_back() {
    const NAME: &str = "the_key_t_has_a_process_give_back";
    let folder = folder();
    let Some(library) = library(NAME) else { return };
    let Some(program) = compile(NAME, &folder, "idle", IDLE, &["-O1"]) else {
        return;
    };
    let mut command = Command::new(program);
    command
        .env("LD_PRELOAD", library)
        .env("NEAP_HELPER", "off")
        .stdout(Stdio::piped());
    let mut held = Held(command.spawn().unwrap());
    let mut line = String::new();
    let mut output = std::io::BufReader::new(held.0.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    let pid = held.0.id();
    let resident_pages = || -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
        statm.split(' ').nth(1).unwrap().parse().unwrap()
    };
    let before = resident_pages();
    assert!(before > 60 << 8, "{before} pages");
    let Some(pane) = Pane::new(NAME, (100, 24), &pid.to_string(), "") else {
        return;
    };
    pane.shows("RSS by kind over");
    pane.keys(&["t"]);
    let answered = || {
        pane.screen()
            .lines()
            .last()
            .unwrap_or_default()
            .contains(&pid.to_string())
    };
    let answer = || {
        pane.screen()
            .lines()
            .rfind(|line| !line.is_empty())
            .unwrap_or_default()
            .to_owned()
    };
    wait_until("an answer", || answered() && !answer().contains("gives back"));
    let answer = answer();
    if std::fs::File::open(format!("/proc/{pid}/mem")).is_err() {
        return skip(NAME, "this user may not look into its own child (ptrace_scope)");
    }
    assert!(answer.contains("gave back: RSS"), "{answer}");
    assert!(resident_pages() < before / 2, "{answer}");
    pane.keys(&["q"]);
    assert_eq!(pane.restored(), "0");
}

#[test]
fn signals_end_it_and_restore_the_terminal() {
    for (name, code) in [("TERM", "143"), ("INT", "130"), ("HUP", "129")] {
        let test = format!("signals-{name}");
        let Some(pane) = Pane::new(&test, (80, 24), "", "") else {
            return;
        };
        pane.shows("PSS▼");
        signal(name, pane.neap());
        assert_eq!(pane.restored(), code, "as a signal's end is told by the shell");
    }
}

#[test]
fn a_stop_gives_the_terminal_back_and_going_on_takes_it() {
    let Some(pane) = Pane::new("a_stop", (80, 24), "", "") else {
        return;
    };
    pane.shows("PSS▼");
    let neap = pane.neap();
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{neap}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next()
    };
    let stops: [&dyn Fn(); 2] = [&|| signal("TSTP", neap), &|| pane.keys(&["C-z"])];
    for stop in stops {
        stop();
        wait_until("neap to stop", || state() == Some('T'));
        assert_eq!(pane.says("#{alternate_on} #{cursor_flag}"), "0 1");
        signal("CONT", neap);
        wait_until("the screen to be back", || pane.says("#{alternate_on}") == "1");
        pane.shows("PSS▼");
    }
    pane.keys(&["q"]);
    assert_eq!(pane.restored(), "0");
}

#[test]
fn no_color_means_none_and_an_ascii_locale_gets_ascii() {
    let environment = "NO_COLOR=1 LC_ALL=C";
    let Some(pane) = Pane::new("no_color", (80, 24), "", environment) else {
        return;
    };
    pane.shows("PSS*");
    let drawn = pane.tmux(&["capture-pane", "-p", "-e", "-t", "neap"]);
    let coloured = ["\x1b[3", "\x1b[4", "\x1b[9", ";3", "38;5"];
    let escapes: Vec<&str> = drawn
        .split('\x1b')
        .skip(1)
        .map(|rest| rest.split('m').next().unwrap())
        .collect();
    assert!(!escapes.is_empty(), "heads are reversed");
    for escape in escapes {
        // tmux says [39m and [49m for "the terminal's own colours".
        let plain = escape.replace("[39", "[").replace("[49", "[");
        assert!(
            !coloured
                .iter()
                .any(|start| format!("\x1b{plain}").contains(start)),
            "{escape}"
        );
    }
    assert!(drawn.is_ascii());
    pane.keys(&["q"]);
    assert_eq!(pane.restored(), "0");
}
