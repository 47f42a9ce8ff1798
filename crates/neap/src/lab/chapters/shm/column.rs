//! Where shared memory shows up in free(1).

use std::any::Any;
use std::time::Duration;

use neap_map::{Allocation, Error, Memfd, Shm, sysv};

use super::object::refused;
use super::sysv::must_last;
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot};
use crate::lab::sight::Seen;

/// shared, and when it goes back.
pub(super) const COLUMN: Experiment = Experiment {
    name: "shm-in-which-column",
    chapter: Chapter::Shm,
    question: "Which column of free does shared memory move, and when does it move back?",
    method: "Write 32 MiB of a POSIX object, of a System V segment and of a memfd, one after the other. \
             Unmap, but keep name, segment or descriptor; then remove it. Look at free's columns and at \
             RssShmem each time; as others may use shared memory at the same time, up to twelve rounds.",
    expectation: "In one of the rounds, for each: shared rises by 32 MiB with the writing, stays with \
                  munmap and falls with the removal. RssShmem rises by 32 MiB and falls with munmap; \
                  RssAnon does not move.",
    explanation: "All three are files in a tmpfs that the kernel has mounted for itself or for /dev/shm, so \
                  their pages are page cache: they are in buff/cache, and shared counts them once more. \
                  They cannot be dropped, only swapped out, so available falls and used, which is total \
                  less available, rises, too. RssShmem is what of it a process has mapped. When nobody has, \
                  the memory is still taken: a process's numbers do not show it, only shared does.",
    cannot_show: "used and buff/cache exactly: all other processes move them, so they are figures here.",
    source: "Note 04, shared memory and free; proc_meminfo(5), Shmem; proc_pid_status(5), RssShmem.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/shm-in-which-column.c"),
    rust: include_str!("../../code/shm-in-which-column.rs"),
    run: column,
};

const LEN: usize = 32 << 20;
const KB: u64 = (LEN / 1024) as u64;
/// What others may move meanwhile.
const SLACK: u64 = 4096;
const ROUNDS: u32 = 12;
const PAUSE: Duration = Duration::from_millis(60);
const PAUSES: u32 = 30;

#[derive(Clone, Copy)]
enum Kind {
    Posix,
    SystemV,
    Memfd,
}

/// What removes an object whose map is gone.
type Removal = Box<dyn FnOnce()>;

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Kind::Posix => "POSIX",
            Kind::SystemV => "System V",
            Kind::Memfd => "memfd",
        }
    }

    /// A map that is written, and what removes the object.
    fn make(self) -> Result<(Box<dyn Any>, Removal), Error> {
        match self {
            Kind::Posix => {
                let name = format!("neap-lab-{}-column", std::process::id());
                let shm = Shm::named(&name)
                    .allocation(Allocation::Sparse)
                    .create(LEN as u64)?;
                let map = shm.map()?;
                map.fill(.., 1)?;
                let remove = move || {
                    let _ = Shm::unlink(&name);
                };
                Ok((Box::new(map), Box::new(remove)))
            }
            Kind::SystemV => {
                let segment = sysv::Segment::private(LEN).create()?;
                let map = segment.attach().map()?;
                map.fill(.., 1)?;
                let remove = move || {
                    let _ = segment.remove();
                };
                Ok((Box::new(map), Box::new(remove)))
            }
            Kind::Memfd => {
                let memfd = Memfd::named("column")
                    .allocation(Allocation::Sparse)
                    .create(LEN as u64)?;
                let map = memfd.map()?;
                map.fill(.., 1)?;
                Ok((Box::new(map), Box::new(move || drop(memfd))))
            }
        }
    }
}

/// Waits until nobody moves shared memory, but not for ever.
fn wait_for_quiet() {
    let shared = || -> Option<u64> {
        let info = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = info.lines().find_map(|line| line.strip_prefix("Shmem:"))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    for _ in 0..PAUSES {
        let before = shared();
        std::thread::sleep(PAUSE);
        let is_quiet = before
            .zip(shared())
            .is_none_or(|(before, after)| before.abs_diff(after) <= SLACK);
        if is_quiet {
            return;
        }
    }
}

/// Before, written, unmapped, removed.
fn looks(hand: &mut Hand, kind: Kind) -> Result<[Seen; 4], Stop> {
    let name = kind.name();
    wait_for_quiet();
    let before = hand.look(&format!("{name}: before"));
    let (map, remove) = kind.make().map_err(refused(name))?;
    let written = hand.look(&format!("{name}: 32 MiB written"));
    drop(map);
    let unmapped = hand.look(&format!("{name}: unmapped"));
    remove();
    let removed = hand.look(&format!("{name}: removed"));
    Ok([before, written, unmapped, removed])
}

/// Whether `shared` rose, stayed and fell.
fn is_quiet(looks: &[Seen; 4]) -> bool {
    let shared = looks.each_ref().map(Seen::shared_kb);
    let near = |now: u64, then: u64| now.abs_diff(then) <= SLACK;
    near(shared[1], shared[0] + KB) && near(shared[2], shared[1]) && near(shared[3] + KB, shared[2])
}

/// Whether others moved it: when the object is gone again, nothing of ours is left in it.
fn is_noisy(looks: &[Seen; 4]) -> bool {
    looks[3].shared_kb().abs_diff(looks[0].shared_kb()) > SLACK
}

fn column(hand: &mut Hand) -> Result<(), Stop> {
    must_last()?;
    for kind in [Kind::Posix, Kind::SystemV, Kind::Memfd] {
        let name = kind.name();
        let mut seen = looks(hand, kind)?;
        for _ in 1..ROUNDS {
            if is_quiet(&seen) {
                break;
            }
            seen = looks(hand, kind)?;
        }
        if !is_quiet(&seen) && is_noisy(&seen) {
            return Err(cannot(
                "other processes take and give back shared memory all the time",
                "run it when they are quiet",
            ));
        }
        let [before, written, unmapped, removed] = seen;
        let rose = |of: fn(&Seen) -> u64, from: &Seen, to: &Seen| of(to).saturating_sub(of(from));
        let (shared, shmem) = (Seen::shared_kb, Seen::rss_shmem_kb);
        let mut near = |what: &str, expected: u64, found: u64| {
            hand.expect_near(&format!("{name}: {what}"), expected, found, SLACK, "kB");
        };
        near("shared rises by", KB, rose(shared, &before, &written));
        near(
            "shared falls with munmap by",
            0,
            rose(shared, &unmapped, &written),
        );
        near(
            "shared falls with the removal by",
            KB,
            rose(shared, &removed, &unmapped),
        );
        near("RssShmem rises by", KB, rose(shmem, &before, &written));
        near(
            "RssShmem falls with munmap by",
            KB,
            rose(shmem, &unmapped, &written),
        );
        near("RssAnon rises by", 0, rose(Seen::rss_anon_kb, &before, &written));
        let moved = |of: fn(&Seen) -> u64| of(&written).wrapping_sub(of(&before)).cast_signed();
        hand.figure(
            &format!("{name}: kB that buff/cache moved"),
            moved(Seen::cache_kb),
        );
        hand.figure(&format!("{name}: kB that used moved"), moved(Seen::used_kb));
        hand.figure(
            &format!("{name}: kB that available moved"),
            moved(Seen::available_kb),
        );
    }
    Ok(())
}
