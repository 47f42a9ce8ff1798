//! Mixed sizes with random lifetimes, in one thread: a random one of many blocks is replaced.

use crate::block::Block;
use crate::{Scale, Workload};
use fastrand::Rng;

pub(crate) const ALL: &[Workload] = &[
    Workload {
        name: "mixed-500",
        what: "20000 blocks of up to 500 bytes, a random one replaced",
        run: |scale| replace(20_000, 500, scale.of(9_000_000), 21),
    },
    Workload {
        name: "mixed-8k",
        what: "20000 blocks of up to 8 KiB, a random one replaced",
        run: |scale| replace(20_000, 8192, scale.of(1_500_000), 22),
    },
    Workload {
        name: "mixed-64k",
        what: "4000 blocks of up to 64 KiB, a random one replaced",
        run: |scale| replace(4000, 65_536, scale.of(400_000), 23),
    },
    Workload {
        name: "skewed",
        what: "sizes by powers of two, small ones most often, a random block replaced (as alloc-test)",
        run: skewed,
    },
    Workload {
        name: "zeroed",
        what: "calloc of 32 bytes to 16 KiB, a random block replaced",
        run: zeroed,
    },
];

fn replace(slots: usize, largest: usize, rounds: u64, seed: u64) -> u64 {
    let mut rng = Rng::with_seed(seed);
    let mut live: Vec<Block> = (0..slots)
        .map(|_| Block::new(rng.usize(1..=largest), 1))
        .collect();
    for _ in 0..rounds {
        let slot = &mut live[rng.usize(0..slots)];
        slot.check(1);
        *slot = Block::new(rng.usize(1..=largest), 1);
    }
    rounds
}

/// A size whose power of two is drawn so that each doubling is half as likely.
pub(crate) fn skewed_size(rng: &mut Rng, largest_power: u32) -> usize {
    let power = rng.u64(..).leading_zeros().min(largest_power) + 4;
    rng.usize(1 << (power - 1)..1 << power)
}

fn skewed(scale: Scale) -> u64 {
    const SLOTS: usize = 1 << 16;
    let rounds = scale.of(10_000_000);
    let mut rng = Rng::with_seed(24);
    let mut live: Vec<Option<Block>> = (0..SLOTS).map(|_| None).collect();
    let mut count = 0;
    for _ in 0..rounds {
        let slot = &mut live[rng.usize(0..SLOTS)];
        match slot.take() {
            Some(old) => old.check(2),
            None => {
                *slot = Some(Block::new(skewed_size(&mut rng, 12), 2));
                count += 1;
            }
        }
    }
    count
}

fn zeroed(scale: Scale) -> u64 {
    const SLOTS: usize = 2000;
    let rounds = scale.of(1_400_000);
    let mut rng = Rng::with_seed(25);
    let mut live: Vec<Option<Block>> = (0..SLOTS).map(|_| None).collect();
    for _ in 0..rounds {
        let size = (32 << rng.u32(0..10)).min(16_384);
        live[rng.usize(0..SLOTS)] = Some(Block::zeroed(rng.usize(size / 2..=size), 3));
    }
    rounds
}
