//! A kernel before 5.16 has no futex_waitv(2): permits and barriers do without. A seccomp filter plays the
//! older kernel.
#![allow(unsafe_code)]

#[path = "sync_kill/process.rs"]
mod process;
#[path = "../src/skip.rs"]
mod skip;

use neap_map::sync::{Barrier, Common, Error, Permits, Semaphore};
use process::{end_of, fork, kill};
use std::mem::forget;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(50);
const FUTEX_WAITV: u32 = 449;

/// From here on futex_waitv(2) is ENOSYS for this process. False if filters are not allowed here.
fn forbid_waitv() -> bool {
    let op = |code: u32, jump: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt: 0,
        jf: jump,
        k,
    };
    let enosys = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned();
    let mut filter = [
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, FUTEX_WAITV),
        op(libc::BPF_RET | libc::BPF_K, 0, enosys),
        op(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: a filter of four instructions that is read during the call.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            ) == 0
    }
}

/// Runs `body` in a child on the older kernel, and says how it ended.
fn on_an_older_kernel(body: impl FnOnce()) -> libc::pid_t {
    fork(|| {
        if forbid_waitv() {
            body();
        } else {
            crate::skip::skip(format_args!("no seccomp filters here"));
        }
    })
}

#[test]
fn permits_come_back_and_a_wait_for_them_ends() {
    let permits = Common::<Permits<2>>::new(()).unwrap();
    let holding = Common::<Semaphore>::new(0).unwrap();
    let holder = fork(|| {
        let _both = [permits.acquire().unwrap(), permits.acquire().unwrap()];
        holding.release().unwrap();
        std::thread::sleep(LONG);
    });
    holding.acquire_for(LONG).unwrap();
    let late = on_an_older_kernel(|| {
        let outcome = permits.acquire_for(Duration::from_millis(25));
        assert_eq!(outcome.unwrap_err(), Error::TimedOut);
    });
    assert_eq!(end_of(late), Ok(0));
    let waiter = on_an_older_kernel(|| drop(permits.acquire_for(LONG).unwrap()));
    std::thread::sleep(Duration::from_millis(5));
    kill(holder);
    assert_eq!((end_of(holder), end_of(waiter)), (Err(libc::SIGKILL), Ok(0)));
}

#[test]
fn a_barrier_meets_and_breaks() {
    let barrier = Common::<Barrier<2>>::new(()).unwrap();
    let [one, other] = [3, 4].map(|rounds| {
        on_an_older_kernel(|| {
            let seat = barrier.join().unwrap();
            for round in 0..rounds {
                let outcome = seat.wait_for(LONG).map(|_| ());
                assert_eq!(outcome, if round < 3 { Ok(()) } else { Err(Error::Broken) });
            }
            // Dies in its seat.
            forget(seat);
        })
    });
    assert_eq!((end_of(one), end_of(other)), (Ok(0), Ok(0)));
}
