//! Where the heap of a new process begins.
#![allow(unsafe_code, reason = "a program is started under ptrace")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot};
use crate::lab::sight::span_of;

/// Note 01's first program.
pub(super) const RANDOM: Experiment = Experiment {
    name: "heap-start-is-random",
    chapter: Chapter::Brk,
    question: "Does the heap begin where bss ends?",
    method: "Start this program (position independent) and a tiny one made here that is not, eight times \
             each, stopped before their first instruction; compare where bss ends with where the heap \
             begins (start_brk of /proc/PID/stat). Then the same with personality(ADDR_NO_RANDOMIZE).",
    expectation: "With randomisation there is a gap of another size each time; the end of bss moves, too, \
                  unless the program is not position independent. Without, the heap begins on the page \
                  after bss.",
    explanation: "The kernel puts the break on the page after bss and then, with kernel.randomize_va_space \
                  2, adds a random number of pages, so that a known address in the program does not give \
                  away the heap. A program that is not position independent is loaded where it was linked, \
                  so its bss is fixed and only the gap is random: that is what the note saw. Most programs \
                  of today are position independent, and there bss itself is somewhere else each time.",
    cannot_show: "How many bits of the address are random: eight starts only tell that they differ.",
    source: "Note 01, the random start of the heap; proc_sys_kernel(5), randomize_va_space; fs/binfmt_elf.c.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/heap-start-is-random.c"),
    rust: include_str!("../../code/heap-start-is-random.rs"),
    run: random,
};

/// How often each program is started.
const STARTS: usize = 8;

/// Whether the kernel may choose addresses at random.
#[derive(Clone, Copy)]
enum Layout {
    Random,
    Fixed,
}

/// A process before its first instruction.
#[derive(Clone, Copy)]
struct Start {
    /// The page after the last mapping of the program's file and what adjoins it: data, bss.
    bss_end: u64,
    /// start_brk.
    heap: u64,
}

fn random(hand: &mut Hand) -> Result<(), Stop> {
    let setting = fs::read_to_string("/proc/sys/kernel/randomize_va_space").unwrap_or_default();
    if setting.trim() != "2" {
        let why = format!(
            "kernel.randomize_va_space is {}, which leaves the heap alone",
            setting.trim()
        );
        return Err(cannot(why, "sysctl kernel.randomize_va_space=2"));
    }
    let fixed_address = write_program(hand.scratch()).map_err(|error| no_start(&error))?;
    let own = std::env::current_exe().map_err(|error| no_start(&error))?;
    hand.look("before any start");
    for (name, program) in [
        ("position independent", own),
        ("not position independent", fixed_address),
    ] {
        let fixed = starts(&program, Layout::Fixed)?;
        let random = starts(&program, Layout::Random)?;
        let gaps: BTreeSet<u64> = random.iter().map(|start| start.heap - start.bss_end).collect();
        let ends: BTreeSet<u64> = random.iter().map(|start| start.bss_end).collect();
        let several = format!("more than 1 in {STARTS} starts");
        hand.expect(
            &format!("different gaps, {name}"),
            &several,
            gaps.len(),
            gaps.len() > 1,
        );
        let is_fixed = name.starts_with("not");
        let (expected, holds) = match is_fixed {
            true => ("1".to_owned(), ends.len() == 1),
            false => (several, ends.len() > 1),
        };
        hand.expect(
            &format!("different ends of bss, {name}"),
            expected,
            ends.len(),
            holds,
        );
        let kib = |gap: Option<&u64>| gap.map_or(0, |gap| gap / 1024);
        let range = format!("{} to {} KiB", kib(gaps.first()), kib(gaps.last()));
        hand.figure(&format!("gaps, {name}"), range);
        let gaps: BTreeSet<u64> = fixed.iter().map(|start| start.heap - start.bss_end).collect();
        let all = gaps.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        hand.expect(
            &format!("gap without randomisation, {name}"),
            0,
            all,
            gaps == BTreeSet::from([0]),
        );
    }
    hand.look("after the last");
    Ok(())
}

fn no_start(error: &io::Error) -> Stop {
    cannot(
        format!("a program could not be started and stopped: {error}"),
        "a TMPDIR without noexec, and a sandbox that allows personality and ptrace",
    )
}

fn starts(program: &Path, layout: Layout) -> Result<Vec<Start>, Stop> {
    (0..STARTS)
        .map(|_| start(program, layout).map_err(|error| no_start(&error)))
        .collect()
}

/// Starts a program, looks at it before its first instruction, and ends it.
fn start(program: &Path, layout: Layout) -> io::Result<Start> {
    let persona: libc::c_ulong = match layout {
        Layout::Random => 0,
        // ADDR_NO_RANDOMIZE of sys/personality.h.
        Layout::Fixed => 0x004_0000,
    };
    let check = |answer: libc::c_long| match answer {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    };
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // SAFETY: between fork and exec only two system calls are made; neither allocates nor locks. A
    // process that says PTRACE_TRACEME is stopped by its execve.
    unsafe {
        command.pre_exec(move || {
            check(libc::personality(persona).into())?;
            check(libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0))
        });
    }
    let mut child = command.spawn()?;
    let mut status = 0;
    // SAFETY: waitpid writes to the integer, which lives here.
    let waited = unsafe { libc::waitpid(child.id().cast_signed(), &raw mut status, 0) };
    let start = if waited != -1 && libc::WIFSTOPPED(status) {
        read_start(child.id(), program)
    } else {
        Err(io::Error::other("it was not stopped"))
    };
    child.kill()?;
    child.wait()?;
    start
}

/// From `/proc`, of a process that is stopped.
fn read_start(pid: u32, program: &Path) -> io::Result<Start> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    // The 47th field of all (proc_pid_stat(5)); the third is the first here.
    let heap = after_name
        .split_whitespace()
        .nth(44)
        .and_then(|field| field.parse().ok());
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut bss_end = None;
    for line in maps.lines() {
        let Some((from, to)) = span_of(line) else { continue };
        let is_program = line.ends_with(&*program.to_string_lossy());
        if is_program || (bss_end == Some(from) && line.split_whitespace().count() == 5) {
            bss_end = Some(to);
        }
    }
    match (bss_end, heap) {
        (Some(bss_end), Some(heap @ 1..)) => Ok(Start { bss_end, heap }),
        _ => Err(io::Error::other("/proc does not tell where its heap begins")),
    }
}

/// A program that is not position independent: a page of text, and data with 20 KiB of bss. It is never run.
fn write_program(folder: &Path) -> io::Result<PathBuf> {
    const BASE: u64 = 0x40_0000;
    const DATA: u64 = 0x42_0000;
    const BSS: u64 = 0x5000;
    let machine: u16 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
    let mut file = Vec::new();
    // ELF, 64 bits, little-endian, version 1.
    file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    file.extend([2_u16, machine].into_iter().flat_map(u16::to_le_bytes));
    file.extend(1_u32.to_le_bytes());
    // Entry, program headers at 64, no section headers.
    file.extend([BASE + 176, 64, 0].into_iter().flat_map(u64::to_le_bytes));
    file.extend(0_u32.to_le_bytes());
    // Sizes: of this header, of a program header, their number.
    file.extend([64_u16, 56, 2, 64, 0, 0].into_iter().flat_map(u16::to_le_bytes));
    let len = 192;
    for (flags, address, memory) in [(5_u32, BASE, len), (6, DATA, BSS)] {
        file.extend([1, flags].into_iter().flat_map(u32::to_le_bytes));
        let fields = [0, address, address, len, memory, 0x1_0000];
        file.extend(fields.into_iter().flat_map(u64::to_le_bytes));
    }
    file.resize(192, 0);
    let path = folder.join("fixed");
    let mut options = fs::OpenOptions::new();
    options.create_new(true).write(true).mode(0o755);
    io::Write::write_all(&mut options.open(&path)?, &file)?;
    Ok(path)
}
