//! Threads that come, go, lie idle, or write side by side.

use crate::block::Block;
use crate::{Scale, Workload};
use fastrand::Rng;
use std::sync::Barrier;
use std::thread;

pub(crate) const ALL: &[Workload] = &[
    Workload {
        name: "each-alone",
        what: "every thread replaces blocks of its own (as alloc-test, glibc's thread benchmark)",
        run: each_alone,
    },
    Workload {
        name: "short-threads",
        what: "6000 threads one after another, two at a time, 100 blocks each",
        run: short_threads,
    },
    Workload {
        name: "idle-threads",
        what: "200 threads allocate a little and wait while one works",
        run: idle_threads,
    },
    Workload {
        name: "own-lines",
        what: "every thread writes small blocks it allocated (as cache-thrash)",
        run: own_lines,
    },
    Workload {
        name: "given-lines",
        what: "every thread gets its first block from another, then writes its own (as cache-scratch)",
        run: given_lines,
    },
];

fn each_alone(scale: Scale) -> u64 {
    let rounds = scale.of(6_000_000);
    thread::scope(|scope| {
        for n in 0..scale.threads {
            scope.spawn(move || {
                let mut rng = Rng::with_seed(50 + n as u64);
                let mut live: Vec<Block> = (0..5000).map(|_| Block::new(32, 1)).collect();
                for _ in 0..rounds {
                    let slot = &mut live[rng.usize(0..5000)];
                    slot.check(1);
                    *slot = Block::new(rng.usize(16..=400), 1);
                }
            });
        }
    });
    rounds * scale.threads as u64
}

fn short_threads(scale: Scale) -> u64 {
    let rounds = scale.of(3000);
    let life = |seed: u64| {
        let mut rng = Rng::with_seed(seed);
        let mut live: Vec<Block> = (0..100).map(|_| Block::new(rng.usize(16..=1000), 2)).collect();
        rng.shuffle(&mut live);
        live.iter().for_each(|block| block.check(2));
    };
    for round in 0..rounds {
        thread::scope(|scope| {
            scope.spawn(move || life(round));
            scope.spawn(move || life(round + 1));
        });
    }
    rounds * 200
}

fn idle_threads(scale: Scale) -> u64 {
    const IDLE: usize = 200;
    let rounds = scale.of(10_000_000);
    let (ready, done) = (Barrier::new(IDLE + 1), Barrier::new(IDLE + 1));
    thread::scope(|scope| {
        for n in 0..IDLE {
            let (ready, done) = (&ready, &done);
            scope.spawn(move || {
                let mut rng = Rng::with_seed(n as u64);
                let live: Vec<Block> = (0..20).map(|_| Block::new(rng.usize(16..=500), 3)).collect();
                ready.wait();
                done.wait();
                live.iter().for_each(|block| block.check(3));
            });
        }
        ready.wait();
        let mut rng = Rng::with_seed(52);
        let mut live: Vec<Block> = (0..5000).map(|_| Block::new(64, 3)).collect();
        for _ in 0..rounds {
            live[rng.usize(0..5000)] = Block::new(rng.usize(16..=200), 3);
        }
        done.wait();
    });
    rounds
}

fn write_and_replace(mut block: Block, rounds: u64) {
    for _ in 0..rounds {
        for _ in 0..100 {
            block.bump();
        }
        block = Block::new(8, 4);
    }
    block.check(4);
}

fn own_lines(scale: Scale) -> u64 {
    let rounds = scale.of(1_200_000);
    thread::scope(|scope| {
        for _ in 0..scale.threads {
            scope.spawn(move || write_and_replace(Block::new(8, 4), rounds));
        }
    });
    rounds * scale.threads as u64
}

fn given_lines(scale: Scale) -> u64 {
    let rounds = scale.of(1_200_000);
    let given: Vec<Block> = (0..scale.threads).map(|_| Block::new(8, 4)).collect();
    thread::scope(|scope| {
        for block in given {
            scope.spawn(move || write_and_replace(block, rounds));
        }
    });
    rounds * scale.threads as u64
}
