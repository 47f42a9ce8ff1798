//! Every failure path once: a fixed script is run as often as it calls the kernel, and each time
//! another call is refused. Whatever happens, only `None` comes of it, and later all is well.

use super::action::Action;
use super::oracle::{Setup, World};
use crate::options::Setting;
use crate::sync::Relaxed;
use neap_abi::{Backend, Call};
use std::vec::Vec;

const THREADS: usize = 3;

/// Seven actions a round that together reach every call: growth, extents, own mappings, moves, give-back.
fn script(rounds: usize) -> Vec<Action> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |n: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let mut actions = std::vec![Action::NewThread];
    for round in 0..rounds {
        let thread = below(THREADS);
        let other = below(THREADS);
        let nth = below(1000);
        let large = [9000, 40_000, 150_000, 300_000, 700_000, 1_200_000, 2_200_000][below(7)];
        let small = [0, 16, 100, 520, 1500, 3000, 5000, 8192][below(8)];
        actions.extend([
            Action::Allocate { thread, size: large },
            Action::Burst {
                thread: other,
                size: small,
                count: 10 + below(60),
            },
            Action::Aligned {
                thread,
                size: small,
                shift: 5 + below(19) as u32,
            },
            Action::Zeroed {
                thread: other,
                size: large / 2,
            },
            Action::Resize {
                thread,
                nth,
                size: large * 2,
            },
            Action::FreeOnOtherThread {
                thread: other,
                nth: nth + 1,
            },
        ]);
        actions.push(match round % 7 {
            0 => Action::SetOption(Setting::MmapThreshold, [200_000, usize::MAX][round / 7 % 2]),
            1 => Action::FreeEvery { thread, step: 3 },
            2 => Action::Tick(2),
            3 => Action::AllocateInHandler { thread, size: small },
            4 => Action::EndThread { thread },
            5 => Action::NewThread,
            _ => Action::Trim { thread },
        });
    }
    actions
}

/// Extents that grow where there is no room: into the window, and into mappings of their own, by moving
/// their pages.
fn moves() -> Vec<Action> {
    let mut actions = Vec::new();
    for round in 0..4 {
        let size = 1_200_000 + round * 100_000;
        actions.extend([
            Action::Allocate { thread: 0, size },
            Action::Allocate { thread: 1, size },
            Action::Resize {
                thread: 0,
                nth: 0,
                size: size * 2,
            },
            Action::Resize {
                thread: 1,
                nth: 1 + round,
                size: size * 3,
            },
            Action::Tick(2),
            Action::SetOption(Setting::MmapThreshold, [usize::MAX, 3_000_000][round % 2]),
        ]);
    }
    actions
}

/// Runs the script with the `n`-th call refused. Says whether there was such a call.
fn run(setup: Setup, script: &[Action], n: u64) -> bool {
    let mut world = World::failing_at(setup, n);
    for (step, action) in script.iter().enumerate() {
        let before = world.calls();
        // The walk follows what was refused, and every so often.
        let near = before <= n + 20 && n <= before + 20;
        world.be_quiet(!near && !step.is_multiple_of(16));
        world.run(action);
    }
    world.be_quiet(false);
    let hit = world.calls() >= n;
    world.wind_up();
    hit
}

fn refuse_each(setup: Setup, rounds: usize) {
    let script = script(rounds);
    let calls = (1..).find(|&n| !run(setup, &script, n)).unwrap_or(0);
    assert!(calls > 2 * rounds as u64, "the script makes calls: {calls}");
}

#[test]
fn any_one_refusal_costs_a_heap_of_mappings_nothing_lasting() {
    refuse_each(
        Setup {
            backend: Backend::Mmap,
            check: false,
        },
        28,
    );
}

#[test]
fn any_one_refusal_costs_a_heap_of_the_break_nothing_lasting() {
    refuse_each(
        Setup {
            backend: Backend::Brk,
            check: false,
        },
        28,
    );
}

#[test]
fn any_one_refusal_to_move_pages_costs_nothing_lasting() {
    let script = moves();
    for backend in [Backend::Mmap, Backend::Brk] {
        let setup = Setup {
            backend,
            check: false,
        };
        let mut world = World::new(setup);
        script.iter().for_each(|action| world.run(action));
        let moved = world.heap.tally.page().calls[Call::Mremap as usize]
            .calls
            .load(Relaxed);
        assert!(moved >= 4, "the script moves pages: {moved} times");
        assert!((1..).any(|n| !run(setup, &script, n)));
    }
}

#[test]
fn any_one_refusal_costs_a_checked_heap_nothing_lasting() {
    // Slow where nothing is optimised.
    refuse_each(
        Setup {
            backend: Backend::Mmap,
            check: true,
        },
        12,
    );
}
