//! The general registers of a thread that is stopped at a system call: how to have it run the heap's stub, and how
//! it goes on afterwards as if nothing had been.
//!
//! On x86_64 a thread that a tracer stops on its way out of a system call still has the call's number and the
//! kernel's own answer ("to be begun again", restart_syscall(2)) in its registers; the kernel looks at them when
//! the thread goes on, and so they only have to be put back. On aarch64 the kernel has made up its mind before
//! the stop, the program counter is at the instruction that makes the call, and a relative timeout begins anew.

use libc::user_regs_struct;
use neap_abi::anatomy::stub;

use super::calls::{Blocked, may_be_repeated};

/// What a program may keep below its stack pointer (x86_64's red zone).
const RED_ZONE: u64 = 128;
/// What the kernel answers inside itself for a call that is to be begun again, include/linux/errno.h.
const RESTARTS: [i64; 3] = [-512, -513, -514];
const RESTART_BLOCK: i64 = -516;
const EINTR: i64 = -4;

/// The registers at a stop.
#[derive(Clone, Copy)]
pub(super) struct Registers(pub(super) user_regs_struct);

/// A system call as the tracer sees it begin or end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// The stub has done what it was asked for, and says what came of it.
    Done(u64),
    /// The stub's work is over.
    Over,
    /// Some other call.
    None,
}

#[cfg(target_arch = "x86_64")]
impl Registers {
    pub(super) fn pc(&self) -> u64 {
        self.0.rip
    }

    pub(super) fn sp(&self) -> u64 {
        self.0.rsp
    }

    /// The thread's pointer to its own storage.
    pub(super) fn storage(&self) -> u64 {
        self.0.fs_base
    }

    /// Whether the thread is on its way out of a system call, as 64-bit code makes them. `instruction` are the two
    /// bytes before the program counter.
    pub(super) fn is_at_call(&self, _: Option<&Blocked>, instruction: [u8; 4]) -> bool {
        const SYSCALL: [u8; 2] = [0x0f, 0x05];
        const USER_CODE: u64 = 0x33;
        self.0.orig_rax.cast_signed() >= 0 && self.0.cs == USER_CODE && instruction[2..] == SYSCALL
    }

    /// What the thread goes on with. A call that the stop has made fail with EINTR, and that changed nothing, is
    /// made again: nobody sent a signal.
    pub(super) fn resumed(&self, _: Option<&Blocked>) -> Registers {
        let mut next = *self;
        let answer = self.0.rax.cast_signed();
        // By its number, not by what the thread was seen to wait in: that may be another call by now.
        if answer == EINTR && may_be_repeated(self.0.orig_rax) {
            next.0.rax = self.0.orig_rax;
            next.0.rip -= 2;
            next.0.orig_rax = u64::MAX;
        }
        next
    }

    /// As [`Registers::resumed`] when a signal is about to be delivered, which decides itself.
    pub(super) fn interrupted(&self, _: Option<&Blocked>) -> Registers {
        *self
    }

    /// The registers with which the stub begins, its frame, and the frame's address.
    pub(super) fn at_stub(
        &self,
        entry: u64,
        what: u64,
        blocked: Option<&Blocked>,
    ) -> (Registers, Vec<u64>, u64) {
        let mut alone = self.resumed(blocked).0;
        let answer = alone.rax.cast_signed();
        if RESTARTS.contains(&answer) {
            (alone.rax, alone.rip) = (alone.orig_rax, alone.rip - 2);
        } else if answer == RESTART_BLOCK {
            (alone.rax, alone.rip) = (libc::SYS_restart_syscall.cast_unsigned(), alone.rip - 2);
        }
        let frame = vec![
            what,
            0,
            alone.r15,
            alone.r14,
            alone.r13,
            alone.r12,
            alone.rbp,
            alone.rbx,
            alone.r11,
            alone.r10,
            alone.r9,
            alone.r8,
            alone.rax,
            alone.rcx,
            alone.rdx,
            alone.rsi,
            alone.rdi,
            alone.eflags,
            alone.rip,
        ];
        // The stub's last instruction takes the last word and steps over the red zone.
        let address = self.0.rsp.wrapping_sub(RED_ZONE + 8 * frame.len() as u64);
        let mut next = *self;
        next.0.rip = entry;
        next.0.rsp = address;
        next.0.orig_rax = u64::MAX;
        (next, frame, address)
    }

    /// At a stop for a system call.
    pub(super) fn mark(&self) -> Mark {
        mark(self.0.orig_rax, self.0.rdi, self.0.rdx)
    }

    /// Whether a signal frame, whose interrupted code lies in `text`, has its program counter at word `at` of
    /// `words`: behind it come the flags and the segments.
    pub(super) fn is_interrupted_in(words: &[u64], at: usize, text: &std::ops::Range<u64>) -> bool {
        let word = |n: usize| words.get(at + n).copied().unwrap_or(0);
        text.contains(&word(0)) && word(1) & 2 != 0 && word(1) < 1 << 22 && word(2) & 0xffff == 0x33
    }
}

#[cfg(target_arch = "aarch64")]
impl Registers {
    pub(super) fn pc(&self) -> u64 {
        self.0.pc
    }

    pub(super) fn sp(&self) -> u64 {
        self.0.sp
    }

    /// The thread's pointer to its own storage is in no register that is read here.
    pub(super) fn storage(&self) -> u64 {
        self.0.sp
    }

    /// Whether the thread stands where it was seen to wait in a system call, or at the instruction that makes it.
    pub(super) fn is_at_call(&self, blocked: Option<&Blocked>, _: [u8; 4]) -> bool {
        blocked.is_some_and(|call| {
            call.sp == self.0.sp && (call.pc == self.0.pc || call.pc == self.0.pc.wrapping_add(4))
        })
    }

    /// What the thread goes on with.
    pub(super) fn resumed(&self, blocked: Option<&Blocked>) -> Registers {
        let mut next = *self;
        if let Some(call) = blocked
            && call.pc == self.0.pc
            && self.0.regs[0].cast_signed() == EINTR
            && may_be_repeated(call.number)
        {
            next.0.regs[0] = call.first_argument;
            next.0.pc -= 4;
        }
        next
    }

    /// When a signal is about to be delivered: the call fails with EINTR, as one that is begun again would if the
    /// signal's handler did not ask for that.
    pub(super) fn interrupted(&self, blocked: Option<&Blocked>) -> Registers {
        let mut next = *self;
        if blocked.is_some_and(|call| call.pc == self.0.pc.wrapping_add(4)) {
            next.0.regs[0] = EINTR.cast_unsigned();
            next.0.pc += 4;
        }
        next
    }

    /// The registers with which the stub begins, its frame, and the frame's address.
    pub(super) fn at_stub(
        &self,
        entry: u64,
        what: u64,
        blocked: Option<&Blocked>,
    ) -> (Registers, Vec<u64>, u64) {
        let alone = self.resumed(blocked).0;
        let mut frame = vec![what, 0];
        frame.extend(alone.regs);
        frame.extend([alone.pc, alone.pstate, 0]);
        let address = self.0.sp.wrapping_sub(RED_ZONE + 8 * frame.len() as u64);
        let mut next = *self;
        next.0.pc = entry;
        next.0.sp = address;
        (next, frame, address)
    }

    /// At a stop for a system call.
    pub(super) fn mark(&self) -> Mark {
        mark(self.0.regs[8], self.0.regs[0], self.0.regs[2])
    }

    /// As on x86_64: behind the program counter come the state and, at a multiple of 16, the vector registers.
    pub(super) fn is_interrupted_in(words: &[u64], at: usize, text: &std::ops::Range<u64>) -> bool {
        const VECTORS: u64 = 0x210_4650_8001;
        let word = |n: usize| words.get(at + n).copied().unwrap_or(0);
        text.contains(&word(0)) && (word(2) == VECTORS || word(3) == VECTORS)
    }
}

fn mark(number: u64, address: u64, status: u64) -> Mark {
    match (number == libc::SYS_madvise.cast_unsigned(), address) {
        (true, stub::DONE) => Mark::Done(status),
        (true, stub::OVER) => Mark::Over,
        _ => Mark::None,
    }
}
