//! The whole heap over a simulated kernel: bytes become the same actions that the property tests play, and
//! the same oracle judges them, with the proof walk after every step.

use arbitrary::{Result, Unstructured};
use neap_abi::Backend;
use neap_heap::{Action, Setting, Setup};

/// More actions only make an input slower.
const ACTIONS_MAX: usize = 120;
/// Turns of other threads in the middle of ticks, and actions in each.
const TURNS_MAX: usize = 40;

/// Sizes on either side of which the heap does something else.
const BORDERS: [usize; 9] = [512, 1024, 4096, 8192, 65_536, 131_072, 1 << 20, 1 << 21, 4 << 20];
const ABSURD: [usize; 4] = [usize::MAX, usize::MAX - 4095, isize::MAX as usize, 1 << 46];

/// Plays what `bytes` say.
///
/// # Panics
/// When the heap breaks a promise.
pub fn run(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let Ok(kind) = bytes.int_in_range(0..=9u8) else {
        return;
    };
    let backend = if kind % 2 == 0 {
        Backend::Mmap
    } else {
        Backend::Brk
    };
    let setup = Setup {
        backend,
        check: kind == 6 || kind == 7,
    };
    let (disturbances, turns) = match kind {
        0..=3 => (Disturbances::None, Vec::new()),
        4..=7 => (Disturbances::Some, Vec::new()),
        _ => (Disturbances::None, turns(&mut bytes).unwrap_or_default()),
    };
    let actions = actions(&mut bytes, disturbances, ACTIONS_MAX);
    neap_heap::play(setup, &actions, turns);
}

/// Whether the kernel refuses calls, others move the break, and threads fork.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Disturbances {
    None,
    Some,
}

fn turns(bytes: &mut Unstructured<'_>) -> Result<Vec<Vec<Action>>> {
    let count = bytes.int_in_range(0..=TURNS_MAX)?;
    let turn = |bytes: &mut Unstructured<'_>| {
        let count = bytes.int_in_range(0..=3usize)?;
        let mut turn = actions(bytes, Disturbances::None, count);
        turn.retain(Action::is_meek);
        Ok(turn)
    };
    (0..count).map(|_| turn(bytes)).collect()
}

/// Actions until the bytes end, at most `most`.
fn actions(bytes: &mut Unstructured<'_>, disturbances: Disturbances, most: usize) -> Vec<Action> {
    let mut actions = Vec::new();
    while actions.len() < most && !bytes.is_empty() {
        match action(bytes, disturbances) {
            Ok(action) => actions.push(action),
            Err(_) => break,
        }
    }
    actions
}

fn size(bytes: &mut Unstructured<'_>) -> Result<usize> {
    Ok(match bytes.int_in_range(0..=15u8)? {
        0..=4 => bytes.int_in_range(0..=1023usize)?,
        5..=6 => bytes.int_in_range(1000..=8300usize)?,
        7..=8 => bytes.int_in_range(8000..=80_000usize)?,
        9 => bytes.int_in_range(80_000..=1_100_000usize)?,
        10 => bytes.int_in_range(1_000_000..=7_000_000usize)?,
        11 => *bytes.choose(&ABSURD)?,
        _ => {
            let by = bytes.int_in_range(-20..=20isize)?;
            bytes.choose(&BORDERS)?.saturating_add_signed(by)
        }
    })
}

fn setting(bytes: &mut Unstructured<'_>) -> Result<Action> {
    Ok(match bytes.int_in_range(0..=4u8)? {
        0 => {
            let thresholds = [9000, 10_000, 200_000, 1 << 20, usize::MAX];
            Action::SetOption(Setting::MmapThreshold, *bytes.choose(&thresholds)?)
        }
        1 => Action::SetOption(Setting::MmapMax, bytes.int_in_range(0..=4usize)?),
        2 => Action::SetOption(Setting::TopPad, *bytes.choose(&[0, 1, 3 << 20])?),
        3 => Action::SetOption(Setting::TrimThreshold, *bytes.choose(&[0, 1 << 20, usize::MAX])?),
        _ => Action::SetOption(Setting::Perturb, *bytes.choose(&[0, 0x5a])?),
    })
}

fn action(bytes: &mut Unstructured<'_>, disturbances: Disturbances) -> Result<Action> {
    let last = if disturbances == Disturbances::Some {
        63
    } else {
        59
    };
    let kind = bytes.int_in_range(0..=last)?;
    let mut thread = || bytes.int_in_range(0..=5usize);
    Ok(match kind {
        0..=9 => {
            let thread = thread()?;
            Action::Allocate {
                thread,
                size: size(bytes)?,
            }
        }
        10..=12 => {
            let thread = thread()?;
            Action::Zeroed {
                thread,
                size: size(bytes)?,
            }
        }
        13..=16 => {
            let thread = thread()?;
            let shift = bytes.int_in_range(0..=23u32)?;
            Action::Aligned {
                thread,
                size: size(bytes)?,
                shift,
            }
        }
        17..=22 => {
            let thread = thread()?;
            let nth = nth(bytes)?;
            Action::Resize {
                thread,
                nth,
                size: size(bytes)?,
            }
        }
        23..=26 => Action::Free { nth: nth(bytes)? },
        27..=31 => {
            let thread = thread()?;
            Action::FreeOnOtherThread {
                thread,
                nth: nth(bytes)?,
            }
        }
        32..=39 => {
            let thread = thread()?;
            let size = bytes.int_in_range(0..=8192usize)?;
            let count = bytes.int_in_range(1..=90usize)?;
            Action::Burst { thread, size, count }
        }
        40..=44 => {
            let thread = thread()?;
            let step = bytes.int_in_range(1..=5usize)?;
            Action::FreeEvery { thread, step }
        }
        45 => {
            let thread = thread()?;
            Action::AllocateInHandler {
                thread,
                size: size(bytes)?,
            }
        }
        46..=47 => {
            let thread = thread()?;
            Action::FreeInHandler {
                thread,
                nth: nth(bytes)?,
            }
        }
        48 => Action::NewThread,
        49..=50 => Action::EndThread { thread: thread()? },
        51 => Action::LoseThread { thread: thread()? },
        52..=55 => Action::Tick(bytes.int_in_range(1..=3usize)?),
        56 => Action::Trim { thread: thread()? },
        57..=59 => setting(bytes)?,
        60 => Action::FailNext(bytes.int_in_range(0..=11u64)?),
        61 => Action::ForeignSbrk(bytes.int_in_range(1..=3_000_000usize)?),
        _ => Action::Fork { thread: thread()? },
    })
}

fn nth(bytes: &mut Unstructured<'_>) -> Result<usize> {
    Ok(usize::from(bytes.arbitrary::<u16>()?))
}
