//! Which system call a thread waits in, and what it would notice of being stopped there.
//!
//! A stop makes the kernel leave the call; most are then begun again behind the program's back. signal(7) lists those
//! that fail with EINTR instead, though no signal was delivered: of these, calls that change nothing before they
//! fail are made again by us. A call that has moved some of its bytes returns early with what it has: a thread that
//! waits in one is left alone.

use std::fs;

/// A call that a thread waits in, from `/proc/PID/task/TID/syscall` (proc(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocked {
    pub(super) number: u64,
    #[allow(
        dead_code,
        reason = "aarch64 needs it: the kernel has overwritten the register"
    )]
    pub(super) first_argument: u64,
    /// The fourth argument, the flags of recv(2) and its kin.
    fourth_argument: u64,
    third_argument: u64,
    pub(super) sp: u64,
    pub(super) pc: u64,
}

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// It runs, or waits for a processor.
    Runs,
    /// It waits in a system call.
    Waits(Blocked),
    /// This kernel does not say.
    Unknown,
}

impl Doing {
    pub(super) fn of(pid: u32, tid: u32) -> Doing {
        match fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall")) {
            Ok(text) => Doing::parse(&text),
            Err(_) => Doing::Unknown,
        }
    }

    fn parse(text: &str) -> Doing {
        if text.trim() == "running" {
            return Doing::Runs;
        }
        let hexadecimal = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
        let words: Vec<&str> = text.split_whitespace().collect();
        let (Some(number), Ok(rest)) = (
            words.first().and_then(|word| word.parse().ok()),
            <[Option<u64>; 8]>::try_from(
                words
                    .iter()
                    .skip(1)
                    .map(|word| hexadecimal(word))
                    .collect::<Vec<_>>(),
            ),
        ) else {
            // Not in a system call, and yet it waits: for a page.
            return Doing::Runs;
        };
        let [
            Some(first),
            Some(_),
            Some(third),
            Some(fourth),
            _,
            _,
            Some(sp),
            Some(pc),
        ] = rest
        else {
            return Doing::Unknown;
        };
        Doing::Waits(Blocked {
            number,
            first_argument: first,
            third_argument: third,
            fourth_argument: fourth,
            sp,
            pc,
        })
    }
}

/// Calls that fail with EINTR after a stop (signal(7), *Interruption of system calls by stop signals*; those on sockets
/// with a timeout), and have then changed nothing.
const REPEATED: &[libc::c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_io_getevents,
    libc::SYS_io_uring_enter,
    libc::SYS_msgrcv,
    libc::SYS_msgsnd,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_accept,
    libc::SYS_accept4,
];

/// Calls that return early, with part of their work done.
const PARTIAL: &[(libc::c_long, &str)] = &[
    (libc::SYS_write, "write"),
    (libc::SYS_writev, "writev"),
    (libc::SYS_pwrite64, "pwrite"),
    (libc::SYS_pwritev, "pwritev"),
    (libc::SYS_pwritev2, "pwritev2"),
    (libc::SYS_sendto, "send"),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_sendmmsg, "sendmmsg"),
    (libc::SYS_recvmmsg, "recvmmsg"),
    (libc::SYS_sendfile, "sendfile"),
    (libc::SYS_splice, "splice"),
    (libc::SYS_vmsplice, "vmsplice"),
    (libc::SYS_copy_file_range, "copy_file_range"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_close, "close"),
];

/// Whether call `number` may be made again when it fails with EINTR.
pub(super) fn may_be_repeated(number: u64) -> bool {
    REPEATED.iter().any(|call| call.cast_unsigned() == number)
}

impl Blocked {
    /// The name of the call, if the program would notice a stop.
    pub(super) fn would_notice(&self) -> Option<&'static str> {
        const WAIT_FOR_ALL: u64 = libc::MSG_WAITALL as u64;
        let is = |call: libc::c_long| call.cast_unsigned() == self.number;
        let flags = match self.number {
            _ if is(libc::SYS_recvfrom) => self.fourth_argument,
            _ if is(libc::SYS_recvmsg) => self.third_argument,
            _ => 0,
        };
        if flags & WAIT_FOR_ALL != 0 {
            return Some("recv");
        }
        PARTIAL.iter().find(|(call, _)| is(*call)).map(|(_, name)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_does_is_read_from_its_line() {
        assert_eq!(Doing::parse("running\n"), Doing::Runs);
        assert_eq!(Doing::parse("-1 0x7ffd 0x7f1b\n"), Doing::Runs);
        assert_eq!(Doing::parse("1 0x3 x 0x1 0x0 0x0 0x0 0x1 0x2"), Doing::Unknown);
        let line = format!(
            "{} 0x3 0x7fee 0x5 0x100 0x0 0x0 0x7ffc 0x7fed\n",
            libc::SYS_recvfrom
        );
        let Doing::Waits(call) = Doing::parse(&line) else {
            panic!("{line}")
        };
        assert_eq!((call.sp, call.pc, call.first_argument), (0x7ffc, 0x7fed, 3));
        assert_eq!(call.would_notice(), Some("recv"));
        let plain = Blocked {
            fourth_argument: 0,
            ..call
        };
        assert_eq!(plain.would_notice(), None);
        assert!(may_be_repeated(plain.number));
        assert!(!may_be_repeated(libc::SYS_close.cast_unsigned()));
        let write = Blocked {
            number: libc::SYS_write.cast_unsigned(),
            ..call
        };
        assert_eq!(write.would_notice(), Some("write"));
    }

    #[test]
    fn a_thread_that_waits_for_input_says_so() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let start = std::time::Instant::now();
        let waits = loop {
            let doing = Doing::of(child.id(), child.id());
            if matches!(doing, Doing::Waits(_)) || start.elapsed().as_secs() > 60 {
                break doing;
            }
            std::thread::yield_now();
        };
        child.kill().unwrap();
        child.wait().unwrap();
        // Without CONFIG_HAVE_ARCH_TRACEHOOK there is no such file.
        assert!(matches!(waits, Doing::Waits(_) | Doing::Unknown), "{waits:?}");
    }
}
