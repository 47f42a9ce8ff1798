//! A lot at once, and then nothing of it.

use crate::block::Block;
use crate::mixed::skewed_size;
use crate::{Scale, Workload};
use fastrand::Rng;

pub(crate) const ALL: &[Workload] = &[
    Workload {
        name: "burst",
        what: "160 MiB of up to 64 KiB allocated, freed in random order, then small work",
        run: burst,
    },
    Workload {
        name: "cycles",
        what: "the same 30 MiB allocated and freed over and over",
        run: cycles,
    },
    Workload {
        name: "phases",
        what: "bursts of one size class after another, a tenth of each surviving the next two",
        run: phases,
    },
];

fn burst(scale: Scale) -> u64 {
    let mut rng = Rng::with_seed(41);
    let goal = usize::try_from(scale.of(128 << 20)).unwrap_or(usize::MAX);
    let mut live = Vec::new();
    let mut bytes = 0;
    while bytes < goal {
        let size = skewed_size(&mut rng, 12);
        bytes += size;
        live.push(Block::new(size, 1));
    }
    let mut count = live.len() as u64;
    rng.shuffle(&mut live);
    live.drain(..).for_each(|block| block.check(1));
    let rounds = scale.of(1_000_000);
    let mut few: Vec<Block> = (0..1000).map(|_| Block::new(64, 1)).collect();
    for _ in 0..rounds {
        few[rng.usize(0..1000)] = Block::new(rng.usize(16..256), 1);
    }
    count += rounds;
    count
}

fn cycles(scale: Scale) -> u64 {
    let rounds = scale.of(30);
    let mut count = 0;
    for _ in 0..rounds {
        let mut rng = Rng::with_seed(42);
        let mut live = Vec::new();
        let mut bytes = 0;
        while bytes < 30 << 20 {
            let size = rng.usize(16..=2048);
            bytes += size;
            live.push(Block::new(size, 2));
        }
        count += live.len() as u64;
        live.into_iter().for_each(|block| block.check(2));
    }
    count
}

fn phases(scale: Scale) -> u64 {
    let rounds = scale.of(5);
    let mut rng = Rng::with_seed(43);
    let mut count = 0;
    let mut survivors: [Vec<Block>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for size in [24, 48, 80, 120, 200, 320, 500, 1000, 3000, 20_000] {
            let number = (12 << 20) / size;
            let live: Vec<Block> = (0..number).map(|_| Block::new(size, 3)).collect();
            count += number as u64;
            let kept = live.into_iter().filter(|_| rng.u8(..) < 26).collect();
            survivors = [kept, std::mem::take(&mut survivors[0])];
            survivors[1].iter().for_each(|block| block.check(3));
        }
    }
    count
}
