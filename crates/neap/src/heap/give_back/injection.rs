//! One thread of another process, made to run the heap's stub once.
//!
//! The thread is stopped, its registers are set, it is followed to the stub's end, the registers are put back, and it is
//! let go. It is stopped only where it waits in a system call; where that is not so it is let go at once.
//! Whatever goes wrong on the way, letting go is safe: a stub that nobody watches ends by itself.
//!
//! Signals: the stub blocks them all, so one that comes meanwhile is delivered at its end, where the registers are
//! the thread's own again. SIGSTOP, which cannot be blocked, is sent again then.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use neap_abi::anatomy::{HELPER_STACK, stub};
use neap_proc::trace::Then;
use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::super::memory::{Memory, ProcessMemory};
use super::calls::{Blocked, Doing};
use super::registers::{Mark, Registers};
use super::stops::{Stop, Traced, Waited};

/// How long a thread may take to stop: it waits in a system call that can be interrupted.
const STOP_MAX: Duration = Duration::from_millis(500);
/// More stack than this is not searched for what a signal interrupted.
const STACK_MAX: u64 = 8 << 20;
/// Bytes of the stub until signals are blocked.
const UNBLOCKED: u64 = 36;
const SIGSTOP: u32 = 19;

/// The process, as far as an injection needs it.
pub(super) struct Target<'a> {
    pub(super) pid: u32,
    pub(super) memory: &'a ProcessMemory,
    /// `/proc/PID/mem`, for writing.
    pub(super) frame: File,
    pub(super) stub: Range<u64>,
    /// The code of the file that has the heap.
    pub(super) text: Vec<Range<u64>>,
    /// That file is libneap.so: nothing else is in it.
    pub(super) library: bool,
    pub(super) helper_stack: u64,
    /// Where mappings are: a stack ends where its mapping does.
    pub(super) mappings: Vec<Range<u64>>,
    /// How long the stub may take before it is left to itself.
    pub(super) patience: Duration,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The stub did what it was asked for.
    Done,
    /// Not now; why.
    Busy(&'static str),
    /// It cannot be, or must not; why.
    Never(String),
    /// The thread is the heap's own helper.
    Helper,
    /// The thread has ended.
    Gone,
}

impl From<Errno> for End {
    fn from(errno: Errno) -> End {
        match errno {
            Errno::ESRCH => End::Gone,
            Errno::EPERM => End::Never("the kernel does not let it be traced".to_owned()),
            other => End::Never(other.desc().to_owned()),
        }
    }
}

/// Has thread `tid` do `what` (`neap_abi::anatomy::stub`). `storages` are the threads' pointers to storage of their
/// own that were met so far.
pub(super) fn inject(target: &Target<'_>, tid: u32, what: u64, storages: &mut Storages) -> End {
    attempt(target, tid, what, storages).unwrap_or_else(|end| end)
}

fn attempt(target: &Target<'_>, tid: u32, what: u64, storages: &mut Storages) -> Result<End, End> {
    let blocked = match Doing::of(target.pid, tid) {
        Doing::Runs => return Err(End::Busy("it runs")),
        Doing::Waits(call) if call.would_notice().is_some() => {
            return Err(End::Busy("it waits in a call that would return early"));
        }
        Doing::Waits(call) => Some(call),
        Doing::Unknown => None,
    };
    let traced = Traced::seize(tid)?;
    stop(&traced)?;
    let registers = traced.registers()?;
    let ready = may_run(target, tid, &registers, blocked.as_ref(), storages).and_then(|()| {
        let (entry, frame, address) = registers.at_stub(target.stub.start, what, blocked.as_ref());
        let bytes: Vec<u8> = frame.iter().flat_map(|word| word.to_ne_bytes()).collect();
        match target.frame.write_all_at(&bytes, address) {
            Ok(()) => Ok(entry),
            Err(_) => Err(End::Busy("its stack has no room")),
        }
    });
    match ready {
        Ok(entry) => {
            traced.set_registers(&entry)?;
            traced.resume(Then::StopsAtCalls, 0)?;
            let run = Run {
                target,
                traced: &traced,
                registers,
                blocked: blocked.as_ref(),
            };
            Ok(run.follow()?)
        }
        Err(end) => {
            // The stop itself may have made the call fail.
            traced.set_registers(&registers.resumed(blocked.as_ref()))?;
            Err(end)
        }
    }
}

/// Threads' pointers to storage of their own: two that are equal are one thread, or a bare clone(2) of it.
#[derive(Debug, Default)]
pub(super) struct Storages(Vec<(u64, u32)>);

impl Storages {
    /// Whether another thread of process `pid` than `tid` has `storage`.
    fn is_anothers(&mut self, storage: u64, pid: u32, tid: u32) -> bool {
        // A thread that has ended leaves its storage to a new one.
        let lives = |owner| Path::new(&format!("/proc/{pid}/task/{owner}")).exists();
        self.0
            .retain(|&(known, owner)| known != storage || owner == tid || lives(owner));
        match self.0.iter().find(|(known, _)| *known == storage) {
            Some((_, owner)) => *owner != tid,
            None => {
                self.0.push((storage, tid));
                false
            }
        }
    }
}

/// Stops a seized thread.
fn stop(traced: &Traced) -> Result<(), End> {
    traced.interrupt()?;
    let end = Instant::now() + STOP_MAX;
    loop {
        match traced.wait(end) {
            Waited::Late => return Err(End::Busy("it does not stop")),
            Waited::Ended => return Err(End::Gone),
            Waited::Stopped(Stop::Asked) => return Ok(()),
            Waited::Stopped(Stop::Group) => return Err(End::Busy("it is stopped by a signal")),
            // A signal that was on its way: the thread takes it, and stops after.
            Waited::Stopped(Stop::Signal(signal)) => traced.resume(Then::Runs, signal)?,
            Waited::Stopped(Stop::Call | Stop::Other) => traced.resume(Then::Runs, 0)?,
        }
    }
}

/// Whether the stub may run in a thread that is stopped with `registers`.
fn may_run(
    target: &Target<'_>,
    tid: u32,
    registers: &Registers,
    blocked: Option<&Blocked>,
    storages: &mut Storages,
) -> Result<(), End> {
    let (pc, sp) = (registers.pc(), registers.sp());
    let mut instruction = [0; 4];
    let read = target.memory.read(pc.wrapping_sub(4), &mut instruction);
    if !read || !registers.is_at_call(blocked, instruction) {
        return Err(End::Busy("it runs"));
    }
    let helper = target.helper_stack..target.helper_stack.saturating_add(HELPER_STACK);
    if target.helper_stack != 0 && helper.contains(&sp) {
        return Err(End::Helper);
    }
    if storages.is_anothers(registers.storage(), target.pid, tid) {
        return Err(End::Never("it shares the storage of another thread".to_owned()));
    }
    if target.library && target.text.iter().any(|text| text.contains(&pc)) {
        return Err(End::Busy("it is in the heap"));
    }
    match interrupted_the_heap(target, sp) {
        None => Err(End::Busy("its stack cannot be read")),
        Some(true) => Err(End::Busy("it is in a signal handler that interrupted the heap")),
        Some(false) => Ok(()),
    }
}

/// Whether a signal handler runs on the stack at `sp` that interrupted the heap's code: the fast paths leave no other
/// mark. `None` when the stack cannot be read.
fn interrupted_the_heap(target: &Target<'_>, sp: u64) -> Option<bool> {
    let stack = target.mappings.iter().find(|mapping| mapping.contains(&sp))?;
    let len = stack.end.saturating_sub(sp).min(STACK_MAX) / 8 * 8;
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    if !target.memory.read_sparsely(sp, &mut bytes) {
        return None;
    }
    let words = bytes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|word| u64::from_ne_bytes(*word));
    let words: Vec<u64> = words.collect();
    let interrupted = |at| {
        let mut text = target.text.iter();
        text.any(|text| Registers::is_interrupted_in(&words, at, text))
    };
    Some((0..words.len()).any(interrupted))
}

/// A stub under way.
struct Run<'a> {
    target: &'a Target<'a>,
    traced: &'a Traced,
    /// The thread's own.
    registers: Registers,
    blocked: Option<&'a Blocked>,
}

impl Run<'_> {
    fn follow(&self) -> nix::Result<End> {
        let end = Instant::now() + self.target.patience;
        let (mut answer, mut over, mut stopped) = (None, false, false);
        loop {
            let stop = match self.traced.wait(end) {
                Waited::Stopped(stop) => stop,
                Waited::Late => return Ok(self.leave(answer)),
                Waited::Ended => return Ok(End::Gone),
            };
            match stop {
                Stop::Call => {
                    match self.traced.registers()?.mark() {
                        Mark::Done(status) => answer = Some(status),
                        Mark::Over if !over => {
                            over = true;
                            self.traced.interrupt()?;
                        }
                        Mark::Over | Mark::None => {}
                    }
                    // The stop that was just asked for is the next one then, not the end of this call.
                    let then = if over { Then::Runs } else { Then::StopsAtCalls };
                    self.traced.resume(then, 0)?;
                }
                Stop::Asked if over => {
                    self.traced.set_registers(&self.registers.resumed(self.blocked))?;
                    self.traced.resume(Then::IsFree, 0)?;
                    self.stop_again(stopped);
                    return Ok(end_of(answer));
                }
                Stop::Signal(SIGSTOP) => {
                    stopped = true;
                    self.traced.resume(Then::StopsAtCalls, 0)?;
                }
                Stop::Signal(signal) => {
                    let end = self.signalled(signal, answer)?;
                    self.stop_again(stopped);
                    return Ok(end);
                }
                Stop::Asked | Stop::Group | Stop::Other => self.traced.resume(Then::StopsAtCalls, 0)?,
            }
        }
    }

    /// A signal is about to be delivered: before the stub has blocked them, or after its work.
    fn signalled(&self, signal: u32, answer: Option<u64>) -> nix::Result<End> {
        let pc = self.traced.registers()?.pc();
        let begun = pc.wrapping_sub(self.target.stub.start) > UNBLOCKED;
        if answer.is_none() && begun {
            // The heap's own code has faulted: what it found was broken before.
            self.traced.resume(Then::IsFree, signal)?;
            return Ok(End::Never("the program has broken its heap".to_owned()));
        }
        self.traced
            .set_registers(&self.registers.interrupted(self.blocked))?;
        self.traced.resume(Then::IsFree, signal)?;
        Ok(match answer {
            Some(_) => end_of(answer),
            None => End::Busy("a signal came"),
        })
    }

    /// Sends the stop signal that was held back.
    fn stop_again(&self, stopped: bool) {
        if stopped {
            let process = Pid::from_raw(i32::try_from(self.target.pid).unwrap_or(0));
            let _ = signal::kill(process, Signal::SIGSTOP);
        }
    }

    /// Lets go of a stub that takes too long: it ends by itself.
    fn leave(&self, answer: Option<u64>) -> End {
        if self.traced.interrupt().is_ok() {
            let _ = self.traced.wait(Instant::now() + STOP_MAX);
        }
        match answer {
            Some(_) => end_of(answer),
            None => End::Never("it still gives back, and is left to it".to_owned()),
        }
    }
}

fn end_of(answer: Option<u64>) -> End {
    match answer {
        Some(stub::GAVE_BACK) => End::Done,
        Some(stub::BUSY) => End::Busy("it is in the heap, or in a fork"),
        Some(stub::NO_STACK) => End::Busy("it has no memory left for a stack"),
        _ => End::Never("its signals could not be blocked".to_owned()),
    }
}

/// Opens what frames are written through.
pub(super) fn open_frame(pid: u32) -> io::Result<File> {
    File::options().write(true).open(format!("/proc/{pid}/mem"))
}
