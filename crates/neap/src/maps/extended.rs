//! What `pmap -x` would print of a process, byte for byte.
//!
//! The rows are neap-proc's; here is what stands around them, and what is printed of a process that has no
//! memory (an empty table) or may not be read (its first line only), as procps does.

use std::io::Write as _;

use neap_proc::model::pmap::{Beside, COLUMNS, Characters, Footer, RULE, Row, heading};
use neap_proc::parse::{Smaps, State};
use neap_proc::read::Proc;
use neap_proc::{Reading, Reason};

use super::snapshot::{Snapshot, Unreadable, shared_memory};

/// A live process. Nothing of one that is not there.
pub(crate) fn live(proc: &Proc, pid: u32, characters: Characters) -> (Vec<u8>, Result<(), Unreadable>) {
    let stat = match proc.stat(pid) {
        Reading::Value(stat) => stat,
        other => return (Vec::new(), Err(Unreadable::of(proc, pid, &other))),
    };
    let command = proc.file(pid, "cmdline").value().unwrap_or_default();
    let leader = leader(proc, pid).unwrap_or(pid);
    let mut text = heading(leader, &command, &stat.comm, stat.state, characters).into_bytes();
    text.push(b'\n');
    let beside = Beside {
        stack: stat.stack_start,
        shared_memory: shared_memory(),
    };
    let reading = proc.smaps(leader);
    let result = match &reading {
        Reading::Value(_) => Ok(()),
        other => Err(Unreadable::of(proc, pid, other)),
    };
    match reading {
        Reading::Value(smaps) => table(&mut text, &smaps, &beside),
        Reading::Absent(Reason::NoMemory) => table(&mut text, &Smaps::default(), &beside),
        _ => {}
    }
    (text, result)
}

/// A recorded process. Bytes of its command line that are no UTF-8 have been lost.
pub(crate) fn recorded(snapshot: &Snapshot, characters: Characters) -> Vec<u8> {
    let head = &snapshot.head;
    let command = head.command.join("\0").into_bytes();
    let mut text = heading(head.pid, &command, &head.name, State::Running, characters).into_bytes();
    text.push(b'\n');
    let beside = Beside {
        stack: head.stack_start,
        shared_memory: head.shared_memory,
    };
    table(&mut text, snapshot.space.smaps(), &beside);
    text
}

fn table(text: &mut Vec<u8>, smaps: &Smaps, beside: &Beside) {
    let mut footer = Footer::default();
    // A vector takes all that is written.
    let _ = writeln!(text, "{COLUMNS}");
    for entry in &smaps.entries {
        let row = Row::new(smaps, entry, beside);
        footer.add(&row);
        let _ = writeln!(text, "{row}");
    }
    let _ = writeln!(text, "{RULE}\n{footer}");
}

/// The process of a thread: PID may be a thread's, and procps prints its process.
fn leader(proc: &Proc, pid: u32) -> Option<u32> {
    let status = proc.file(pid, "status").value()?;
    let line = status
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"Tgid:"))?;
    str::from_utf8(line).ok()?.trim().parse().ok()
}
