//! What is in stdio's buffer at fork.
#![allow(
    unsafe_code,
    reason = "the C library's streams, and a fork as the note has it"
)]

use std::fs::File;
use std::io::{Read, pipe};
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot};
use crate::lab::offspring::End;

pub(super) const DUPLICATES: Experiment = Experiment {
    name: "fork-duplicates-stdio",
    chapter: Chapter::Fork,
    question: "Why does the note's program print four lines on a terminal and five through a pipe?",
    method: "A child does what the note's program does: it prints a line to a stream of the C library, \
             forks, prints one more; its own child prints two. Once the stream is a terminal, once a \
             pipe. Count the lines.",
    expectation: "Four on the terminal; five through the pipe: the first line is there twice.",
    explanation: "stdio writes each line to a terminal when it ends, and to anything else when its \
                  buffer is full or the stream is closed. Through a pipe the first line is still in \
                  the buffer at fork, and the buffer is private memory: fork copies it with the rest, \
                  and both processes write it when they end. fflush before fork, or _exit in the \
                  child, makes it four.",
    cannot_show: "Streams that setvbuf has changed.",
    source: "Note 03, the program with /dev/zero; setvbuf(3), fork(2).",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/fork-duplicates-stdio.c"),
    rust: include_str!("../../code/fork-duplicates-stdio.rs"),
    run: duplicates,
};

/// Prints the note's four lines to a stream on this descriptor. In a child of the experiment.
fn program(out: &OwnedFd) -> u8 {
    let fd = out.as_raw_fd();
    // SAFETY: the descriptor is open, the texts are C strings that live for ever, and the stream is
    // used only until it is closed, by this process and by a copy of it that has its own copy of the
    // stream. This process was forked from one thread and has only that.
    unsafe {
        let stream = libc::fdopen(fd, c"w".as_ptr());
        if stream.is_null() {
            return 1;
        }
        libc::fputs(c"1: parent, before fork\n".as_ptr(), stream);
        let child = libc::fork();
        if child == -1 {
            return 2;
        }
        if child == 0 {
            libc::fputs(c"2: child\n".as_ptr(), stream);
            libc::fputs(c"4: child\n".as_ptr(), stream);
        } else {
            libc::waitpid(child, std::ptr::null_mut(), 0);
            libc::fputs(c"3: parent\n".as_ptr(), stream);
        }
        // As exit does with every stream.
        libc::fclose(stream);
        if child == 0 {
            libc::_exit(0);
        }
    }
    0
}

/// The lines that come out at the other end.
fn lines(mut from: impl Read) -> Vec<String> {
    let mut bytes = Vec::new();
    // A terminal without anybody at its other side ends with EIO.
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes)
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// Both sides of a new terminal.
fn terminal() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let slave = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
    Ok((master, slave))
}

fn duplicates(hand: &mut Hand) -> Result<(), Stop> {
    let (master, slave) = terminal().map_err(|errno| {
        cannot(
            format!("no terminal can be made: {errno}"),
            "a mounted /dev/pts and a free terminal",
        )
    })?;
    hand.look("before both");
    let on_terminal = hand.in_child(|| program(&slave))?;
    drop(slave);
    let terminal = lines(File::from(master));
    let (from, to) =
        pipe().map_err(|error| cannot(format!("pipe: {error}"), "see neap doctor for limits"))?;
    let to = OwnedFd::from(to);
    let through_pipe = hand.in_child(|| program(&to))?;
    drop(to);
    let piped = lines(from);
    hand.look("after both");
    hand.expect_eq("the program on a terminal", End::Exited(0), on_terminal);
    hand.expect_eq("the program on a pipe", End::Exited(0), through_pipe);
    hand.figure("on the terminal", terminal.join("; "));
    hand.figure("through the pipe", piped.join("; "));
    hand.expect_eq("lines on the terminal", 4, terminal.len());
    hand.expect_eq("lines through the pipe", 5, piped.len());
    let twice = piped.iter().filter(|line| line.starts_with("1:")).count();
    hand.expect_eq("of those, the line before fork", 2, twice);
    Ok(())
}
