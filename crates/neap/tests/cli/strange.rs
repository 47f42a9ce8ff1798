//! A stopped process whose address space holds what address spaces seldom hold, and others to look at.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::{compile, wait_until};

/// Makes mappings of every kind in the folder it runs in, says so, and stops. `argv[1]`: so many more mappings.
const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>
#define RW (PROT_READ | PROT_WRITE)
static void file(const char *path, int gone) {
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, 8192)) exit(77);
    char *map = mmap(0, 8192, RW, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) exit(77);
    map[0] = 1;
    if (gone) unlink(path);
    close(fd);
}
static void memory(const char *name) {
    int fd = memfd_create(name, 0);
    if (fd < 0 || ftruncate(fd, 4096)) return;
    mmap(0, 4096, RW, MAP_SHARED, fd, 0);
    close(fd);
}
static char *own(size_t len, int prot, int flags) {
    return mmap(0, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}
int main(int argc, char **argv) {
    file("plain", 0); file("with space", 0); file("new\nline", 0); file("gone", 1);
    file("gone too (deleted)", 1); file("\xff\xfe bytes", 0); file("\xc3\xa9\xe2\x82\xac", 0);
    file("esc\x1b[31m\x7f\x01\t", 0); file("back\\012slash", 0); file("[stack]", 0); file("A:b", 0);
    memory("a b/c"); memory("end/"); memory("/SYSV in name"); memory("");
    int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    char *segment = id < 0 ? (char *)-1 : shmat(id, 0, 0);
    if (segment != (char *)-1) segment[0] = 1;
    if (id >= 0) shmctl(id, IPC_RMID, 0);
    mmap(0, 8192, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    own(8192, PROT_NONE, 0); own(8192, RW | PROT_EXEC, MAP_NORESERVE); own(8192, PROT_EXEC, 0);
    own(8192, RW, MAP_GROWSDOWN);
    char *huge = own(2 << 20, RW, MAP_HUGETLB);
    if (huge != MAP_FAILED) huge[0] = 1;
    char *pages = own(2 << 20, RW, 0);
    for (int i = 0; i < 64; i++) pages[i * 4096] = 1;
    volatile char *read_only = own(1 << 20, RW, 0);
    (void)*read_only;
    int zero = open("/dev/zero", O_RDWR);
    mmap(0, 4096, RW, MAP_PRIVATE, zero, 0);
    mmap(0, 4096, RW, MAP_SHARED, zero, 0);
    for (int i = 0; i < (argc > 1 ? atoi(argv[1]) : 0); i++) {
        char *map = own(4096, i % 2 ? RW : PROT_READ, 0);
        if (map == MAP_FAILED) exit(77);
        if (i % 2) *map = 1;
    }
    puts("ready");
    fflush(stdout);
    kill(getpid(), 19);
    return 0;
}
"#;

/// A child that is stopped; killed in the end.
pub(crate) struct Stopped {
    child: Child,
    /// What it maps lies there.
    _folder: Option<TempDir>,
}

impl Stopped {
    /// The strange program. `None` skips the test that called.
    pub(crate) fn strange(test: &str, more_mappings: u32) -> Option<Stopped> {
        let folder = crate::support::folder();
        let program = compile(
            test,
            &folder,
            "strange",
            &format!("#include <signal.h>\n{PROGRAM}"),
            &["-O1"],
        )?;
        let command = ["strange one", "a\nb\tc", "\u{e9}\u{20ac}", "", "\u{7f}"];
        let child = Command::new(&program)
            .arg0(command[0])
            .arg(more_mappings.to_string())
            .args(&command[1..])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Some(Stopped::ready(child, Some(folder)))
    }

    /// Any command that prints a line when it is ready.
    pub(crate) fn command(command: &mut Command) -> Stopped {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Stopped::ready(child, None)
    }

    fn ready(mut child: Child, folder: Option<TempDir>) -> Stopped {
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let stopped = Stopped {
            child,
            _folder: folder,
        };
        assert!(!line.is_empty(), "it ended before it was ready");
        let signal = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -STOP {}", stopped.pid()))
            .status();
        assert!(signal.unwrap().success());
        wait_until("the stop", || state(stopped.pid()) == Some('T'));
        stopped
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The letter of a process's state.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    stat.get(close + 2).map(|letter| char::from(*letter))
}
