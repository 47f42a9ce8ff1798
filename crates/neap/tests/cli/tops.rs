//! `neap top`: the table beside smem's, and the live screen in a real terminal (tmux).

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::support::{
    assert_reasons_lead_to_nulls, compile, folder, library, missing, neap, skip, stderr, wait_until,
};

/// Kills what it holds.
struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sleeps for so many seconds: a number that no other test has, so that it can be filtered by.
fn sleeper(seconds: &str) -> Held {
    let child = Command::new("sleep").arg(seconds).spawn().unwrap();
    let held = Held(child);
    let comm = format!("/proc/{}/comm", held.0.id());
    wait_until("sleep to be started", || {
        std::fs::read_to_string(&comm).is_ok_and(|name| name == "sleep\n")
    });
    held
}

fn top(arguments: &[&str]) -> Output {
    neap().arg("top").args(arguments).output().unwrap()
}

fn parsed(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn process(report: &Value, pid: u32) -> &Value {
    let processes = report["processes"].as_array().unwrap();
    let found = processes.iter().find(|process| process["pid"] == pid);
    found.unwrap_or_else(|| panic!("{pid} is not in {report}"))
}

/// Has memory of its own, some that it shares with its child, and pages of a file that both map. Statically linked,
/// so that no process that comes or goes in the meantime changes its share of anything.
const FAMILY: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(void) {
    char *own = malloc(5 << 20);
    memset(own, 1, 5 << 20);
    char *shared = mmap(0, 3 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(shared, 1, 3 << 20);
    pid_t child = fork();
    if (child == 0) {
        memset(own, 2, 1 << 20);
        for (int i = 0; i < 3 << 20; i += 4096) shared[i]++;
        shared[0] = 'c';
        for (;;) pause();
    }
    while (*(volatile char *)shared != 'c') usleep(1000);
    printf("%d\n", child);
    fflush(stdout);
    for (;;) pause();
}
"#;

#[test]
fn figures_are_those_of_smem() {
    const NAME: &str = "figures_are_those_of_smem";
    if Command::new("smem").arg("-h").output().is_err() {
        return missing(NAME, "smem is not installed");
    }
    let folder = folder();
    let Some(program) = compile(NAME, &folder, "family", FAMILY, &["-static", "-O1"]) else {
        return;
    };
    let parent = Held(Command::new(program).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    let mut held = parent;
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(held.0.stdout.take().unwrap()),
        &mut line,
    )
    .unwrap();
    let child: u32 = line.trim().parse().unwrap();
    let pids = [held.0.id(), child];
    for pid in pids {
        signal("STOP", pid);
    }
    for pid in pids {
        let stat = format!("/proc/{pid}/stat");
        wait_until("it to stop", || {
            std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "))
        });
    }
    let report = parsed(&top(&["--once", "--json", "--filter", "family"]));
    let smem = Command::new("smem")
        .args(["-H", "-c", "pid swap uss pss rss"])
        .output()
        .unwrap();
    let smem = String::from_utf8(smem.stdout).unwrap();
    let ours = pids.map(|pid| {
        let process = process(&report, pid);
        assert_eq!(process["rss_source"], "smaps");
        let fields = ["swap_bytes", "uss_bytes", "pss_bytes", "rss_bytes"];
        fields.map(|field| process[field].as_u64().unwrap() / 1024)
    });
    signal("KILL", child);
    let theirs = pids.map(|pid| {
        let rows = smem
            .lines()
            .map(|row| row.split_whitespace().map(|word| word.parse::<u64>().unwrap()));
        let row = rows
            .map(Iterator::collect::<Vec<u64>>)
            .find(|row| row[0] == u64::from(pid));
        let row = row.unwrap_or_else(|| panic!("{pid} is not in {smem}"));
        [row[1], row[2], row[3], row[4]]
    });
    assert_eq!(ours, theirs);
    let [swap, uss, pss, rss] = ours[0];
    assert!(
        swap < uss && uss < pss && pss < rss,
        "something is shared, so they differ: {ours:?}"
    );
}

fn signal(name: &str, pid: u32) {
    let status = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn the_table_is_filtered_sorted_and_limited() {
    let (first, second) = (sleeper("1001"), sleeper("1001"));
    let report = parsed(&top(&[
        "--once",
        "--json",
        "--filter",
        "sleep 1001",
        "--sort",
        "pid",
    ]));
    assert_eq!(report["schema"], "neap.top/1");
    assert_reasons_lead_to_nulls(&report);
    let own = process(&report, first.0.id());
    assert_eq!(own["command"], serde_json::json!(["sleep", "1001"]));
    assert_eq!((&own["name"], &own["threads"]), (&"sleep".into(), &1.into()));
    assert_eq!(own["parent_pid"], std::process::id());
    assert!(own["cpu_share"].is_number(), "there were two readings");
    let pids = |report: &Value| -> Vec<u64> {
        let processes = report["processes"].as_array().unwrap();
        processes
            .iter()
            .map(|process| process["pid"].as_u64().unwrap())
            .collect()
    };
    assert!(pids(&report).is_sorted() && pids(&report).contains(&u64::from(second.0.id())));
    let turned = [
        "--once",
        "--json",
        "--filter",
        "SLEEP 1001",
        "--sort",
        "pid",
        "--reverse",
        "--limit",
        "1",
    ];
    let report = parsed(&top(&turned));
    let last = u64::from(first.0.id().max(second.0.id()));
    assert!(pids(&report).len() == 1 && pids(&report)[0] >= last);
    assert!(report["processes_left_out"].as_u64().unwrap() > 1);
    let nobody = parsed(&top(&["--once", "--json", "--user", "4123456789"]));
    assert!(pids(&nobody).is_empty());
}

#[test]
fn a_pipe_gets_words_and_bytes() {
    let held = sleeper("1002");
    let output = top(&["--once", "--filter", "sleep 1002"]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let heads: Vec<&str> = text.lines().next().unwrap().split(' ').collect();
    assert_eq!(heads[2..6], ["PSS_BYTES", "USS_BYTES", "RSS_BYTES", "SWAP_BYTES"]);
    let pid = held.0.id().to_string();
    let row = text
        .lines()
        .find(|line| line.split(' ').next() == Some(&pid))
        .unwrap();
    let words: Vec<&str> = row.split(' ').collect();
    assert_eq!(words[9..], ["sleep", "1002"]);
    let bytes: Vec<u64> = words[2..6].iter().map(|word| word.parse().unwrap()).collect();
    assert!(
        bytes[0] > 0 && bytes[1] <= bytes[0] && bytes[0] <= bytes[2],
        "{row}"
    );
    let mut closed = neap()
        .args(["top", "--once"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(closed.stdout.take());
    assert!(
        closed.wait().unwrap().success(),
        "a reader that has gone is no failure"
    );
}

#[test]
fn one_process_once_has_its_kinds() {
    let held = sleeper("1003");
    let pid = held.0.id().to_string();
    let report = parsed(&top(&[&pid, "--once", "--json"]));
    assert_eq!(
        (&report["schema"], &report["ended"]),
        (&"neap.top-process/1".into(), &false.into())
    );
    assert_reasons_lead_to_nulls(&report);
    let kinds = report["kinds"].as_array().unwrap();
    let sum: u64 = kinds.iter().map(|kind| kind["rss_bytes"].as_u64().unwrap()).sum();
    assert_eq!(report["process"]["rss_bytes"], sum, "the kinds are all there is");
    assert!(
        report["not_available"]["heap"]
            .as_str()
            .unwrap()
            .contains("libneap.so")
    );
    let text = String::from_utf8(top(&[&pid, "--once"]).stdout).unwrap();
    assert!(
        text.contains("sleep 1003") && text.contains("library") && text.contains("n/a"),
        "{text}"
    );
}

/// Holds 40 MiB of blocks, says so, and waits.
const HOLDER: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    for (int i = 0; i < 640; i++) memset(malloc(65536), 1, 65536);
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}
"#;

#[test]
fn a_heap_of_neaps_is_looked_into() {
    const NAME: &str = "a_heap_of_neaps_is_looked_into";
    let folder = folder();
    let Some(library) = library(NAME) else { return };
    let Some(program) = compile(NAME, &folder, "holder", HOLDER, &["-O1"]) else {
        return;
    };
    let mut command = Command::new(program);
    let mut held = Held(
        command
            .env("LD_PRELOAD", library)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    let mut output = std::io::BufReader::new(held.0.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    let pid = held.0.id().to_string();
    let report = parsed(&top(&[&pid, "--once", "--json"]));
    assert_reasons_lead_to_nulls(&report);
    let why = report["not_available"]["heap"].as_str().unwrap_or_default();
    if why.contains("may not be looked at") {
        return skip(NAME, why);
    }
    let heap = &report["heap"];
    let live = heap["live_bytes"].as_u64().unwrap_or_else(|| panic!("{report}"));
    assert!((40 << 20..48 << 20).contains(&live), "{heap}");
    assert!(heap["held_bytes"].as_u64().unwrap() >= live, "{heap}");
    assert!(
        heap["calls_per_second"].is_number() && heap["calls_total"]["mmap"].as_u64() > Some(0),
        "{heap}"
    );
    let kinds = report["kinds"].as_array().unwrap();
    let own = kinds.iter().find(|kind| kind["kind"] == "neap").unwrap();
    assert!(own["rss_bytes"].as_u64().unwrap() >= 40 << 20, "{own}");
    let text = String::from_utf8(top(&[&pid, "--once"]).stdout).unwrap();
    assert!(
        text.contains("heap   live 4") && text.contains("memory calls/s"),
        "{text}"
    );
}

#[test]
fn wrong_calls_say_how_to_mend_them() {
    let no_terminal = top(&[]);
    assert_eq!(no_terminal.status.code(), Some(2));
    assert!(stderr(&no_terminal).contains("no terminal") && stderr(&no_terminal).contains("--once"));
    let nobody = top(&["4194304"]);
    assert_eq!(nobody.status.code(), Some(2));
    assert!(
        stderr(&nobody).contains("there is no process 4194304"),
        "{}",
        stderr(&nobody)
    );
    let json = top(&["--json"]);
    assert!(json.status.code() == Some(2) && stderr(&json).contains("--once --json"));
    for wrong in [
        ["--once", "--user", "no such user"],
        ["--once", "--interval", "1ms"],
        ["--once", "--sort", "x"],
    ] {
        assert_eq!(top(&wrong).status.code(), Some(2), "{wrong:?}");
    }
    let mut zombie = Held(Command::new("true").spawn().unwrap());
    let pid = zombie.0.id();
    let stat = format!("/proc/{pid}/stat");
    wait_until("it to end", || {
        std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z "))
    });
    let none = top(&[&pid.to_string(), "--once"]);
    assert!(stderr(&none).contains("no memory of its own"), "{none:?}");
    zombie.0.wait().unwrap();
}

#[test]
fn what_is_denied_is_not_zero() {
    const NAME: &str = "what_is_denied_is_not_zero";
    let held = sleeper("1004");
    let mut command = neap();
    command.args(["top", "--once", "--json"]);
    if rustix_is_root() {
        command.uid(65534).gid(65534);
    }
    let Ok(output) = command.output() else {
        return skip(NAME, "another user may not run the neap that was built");
    };
    let report = parsed(&output);
    assert_reasons_lead_to_nulls(&report);
    let pid = if rustix_is_root() { held.0.id() } else { 1 };
    let processes = report["processes"].as_array().unwrap();
    let Some(index) = processes.iter().position(|process| process["pid"] == pid) else {
        return skip(NAME, "/proc hides the processes of others");
    };
    for field in ["pss_bytes", "uss_bytes", "swap_bytes"] {
        assert!(processes[index][field].is_null());
        let reason = &report["not_available"][format!("processes[{index}].{field}")];
        assert_eq!(reason, "permission denied");
    }
    assert_eq!(processes[index]["rss_source"], "statm");
    assert!(processes[index]["rss_bytes"].as_u64() > Some(0));
}

fn rustix_is_root() -> bool {
    rustix::process::geteuid().is_root()
}

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
            "stty -g > {}; env LC_ALL=C.UTF-8 {environment} {} top {arguments}; echo $? > {}; stty -g > {}; exec sleep 5000",
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
