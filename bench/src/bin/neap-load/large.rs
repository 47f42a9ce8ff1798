//! Large blocks, and blocks that become large.

use crate::block::Block;
use crate::{Scale, Workload};
use fastrand::Rng;

pub(crate) const ALL: &[Workload] = &[
    Workload {
        name: "large",
        what: "60 blocks of 64 KiB to 4 MiB, a random one replaced (as malloc-large)",
        run: large,
    },
    Workload {
        name: "buffers",
        what: "buffers of 8 to 256 KiB, filled and freed (as a server reads and answers)",
        run: buffers,
    },
    Workload {
        name: "growth",
        what: "vectors that double, and ones that grow by a page, from 16 bytes to 1 MiB",
        run: growth,
    },
];

fn large(scale: Scale) -> u64 {
    const SLOTS: usize = 60;
    let rounds = scale.of(5_000);
    let mut rng = Rng::with_seed(31);
    let mut size = || rng.usize(64 << 10..=4 << 20);
    let mut live: Vec<Block> = (0..SLOTS).map(|_| Block::new(size(), 1)).collect();
    for round in 0..rounds {
        let slot = &mut live[usize::try_from(round * 37).unwrap_or(0) % SLOTS];
        slot.check(1);
        *slot = Block::new(size(), 1);
    }
    rounds
}

fn buffers(scale: Scale) -> u64 {
    let rounds = scale.of(40_000);
    let mut rng = Rng::with_seed(32);
    let mut open: Vec<Block> = Vec::new();
    for _ in 0..rounds {
        let mut buffer = Block::new(8192 << rng.u32(0..6), 2);
        buffer.fill(2);
        open.push(buffer);
        if open.len() > 8 {
            open.swap_remove(rng.usize(0..open.len())).check(2);
        }
    }
    rounds
}

fn growth(scale: Scale) -> u64 {
    let rounds = scale.of(10_000);
    let mut rng = Rng::with_seed(33);
    let mut count = 0;
    let mut lists: Vec<Block> = Vec::new();
    for _ in 0..rounds {
        let end = 1024 << rng.u32(0..=10);
        let mut list = Block::new(16, 3);
        while list.size() < end {
            let doubled = list.size() * 2;
            list.resize(doubled, 3);
            count += 1;
        }
        let mut log = Block::new(100, 3);
        while log.size() < end.min(256 << 10) {
            let longer = log.size() + 4096;
            log.resize(longer, 3);
            count += 1;
        }
        log.check(3);
        lists.push(list);
        if lists.len() > 12 {
            lists.swap_remove(rng.usize(0..12)).check(3);
        }
    }
    count
}
