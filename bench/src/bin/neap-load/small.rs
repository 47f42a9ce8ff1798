//! Small blocks in one thread, freed in every order.

use crate::block::Block;
use crate::{Scale, Workload};
use fastrand::Rng;

pub(crate) const ALL: &[Workload] = &[
    Workload {
        name: "small-pair",
        what: "16 to 128 bytes, freed at once (the shortest life)",
        run: pair,
    },
    Workload {
        name: "small-lifo",
        what: "batches of 16 to 128 bytes, last in first out",
        run: lifo,
    },
    Workload {
        name: "small-fifo",
        what: "a queue of 20000 blocks of 16 to 128 bytes",
        run: fifo,
    },
    Workload {
        name: "small-random",
        what: "20000 blocks of 16 to 128 bytes, a random one replaced",
        run: random,
    },
    Workload {
        name: "batches",
        what: "batches of one size each, freed by every second first (as sh6bench)",
        run: batches,
    },
    Workload {
        name: "fixed",
        what: "lists of 10 to 4000 blocks of one size, allocated and freed (as glibc's simple benchmark)",
        run: fixed,
    },
];

fn small(rng: &mut Rng) -> usize {
    rng.usize(16..=128)
}

fn pair(scale: Scale) -> u64 {
    let rounds = scale.of(16_000_000);
    let mut rng = Rng::with_seed(1);
    for _ in 0..rounds {
        let size = small(&mut rng);
        Block::new(size, 1).check(1);
    }
    rounds
}

fn lifo(scale: Scale) -> u64 {
    let rounds = scale.of(12_000);
    let mut rng = Rng::with_seed(2);
    let mut stack = Vec::with_capacity(1000);
    for _ in 0..rounds {
        for _ in 0..1000 {
            stack.push(Block::new(small(&mut rng), 2));
        }
        while let Some(block) = stack.pop() {
            block.check(2);
        }
    }
    rounds * 1000
}

fn fifo(scale: Scale) -> u64 {
    let rounds = scale.of(12_000_000);
    let mut rng = Rng::with_seed(3);
    let mut ring: Vec<Block> = (0..20_000).map(|_| Block::new(small(&mut rng), 3)).collect();
    let mut at = 0;
    for _ in 0..rounds {
        ring[at].check(3);
        ring[at] = Block::new(small(&mut rng), 3);
        at = if at + 1 == ring.len() { 0 } else { at + 1 };
    }
    rounds
}

fn random(scale: Scale) -> u64 {
    let rounds = scale.of(12_000_000);
    let mut rng = Rng::with_seed(4);
    let mut live: Vec<Block> = (0..20_000).map(|_| Block::new(small(&mut rng), 4)).collect();
    for _ in 0..rounds {
        let slot = &mut live[rng.usize(0..20_000)];
        slot.check(4);
        *slot = Block::new(small(&mut rng), 4);
    }
    rounds
}

fn batches(scale: Scale) -> u64 {
    const BATCH: usize = 500;
    let rounds = scale.of(200);
    let mut held: Vec<Vec<Block>> = Vec::new();
    let mut count = 0;
    for round in 0..rounds {
        for size in (8..=1000).step_by(16) {
            let mut batch: Vec<Option<Block>> = (0..BATCH).map(|_| Some(Block::new(size, 5))).collect();
            count += BATCH as u64;
            for block in batch.iter_mut().step_by(2) {
                *block = None;
            }
            let rest: Vec<Block> = batch.into_iter().flatten().rev().collect();
            if size % 5 == 0 {
                held.push(rest);
            }
        }
        if round % 4 == 3 {
            held.clear();
        }
    }
    count
}

fn fixed(scale: Scale) -> u64 {
    let mut count = 0;
    let mut list = Vec::with_capacity(4000);
    for size in [16, 32, 64, 256, 1024] {
        for length in [10, 100, 1000, 4000] {
            let rounds = scale.of(480_000 / length);
            for _ in 0..rounds {
                for _ in 0..length {
                    list.push(Block::new(size, 6));
                }
                list.clear();
            }
            count += rounds * length;
        }
    }
    count
}
