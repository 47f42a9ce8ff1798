//! Blocks that one thread allocates and another frees.

use crate::block::Block;
use crate::mixed::skewed_size;
use crate::{Scale, Workload};
use fastrand::Rng;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

pub(crate) const ALL: &[Workload] = &[
    Workload {
        name: "successors",
        what: "server threads that hand their blocks to the thread that follows them (as larson)",
        run: successors,
    },
    Workload {
        name: "pipeline",
        what: "one thread produces batches of messages, the next one frees them",
        run: pipeline,
    },
    Workload {
        name: "free-only",
        what: "one thread that only frees what the others allocate",
        run: free_only,
    },
    Workload {
        name: "exchange",
        what: "threads that swap random blocks through a common table (as mstress)",
        run: exchange,
    },
    Workload {
        name: "swarm",
        what: "threads that allocate batches and free whichever batch lies on top (as xmalloc)",
        run: swarm,
    },
    Workload {
        name: "circle",
        what: "up to 16 KiB, a third of them freed by the neighbour (as rptest)",
        run: circle,
    },
];

fn successors(scale: Scale) -> u64 {
    const LIVE: usize = 2000;
    const LIVES: u64 = 12;
    let rounds = scale.of(500_000);
    let serve = move |mut live: Vec<Block>, seed: u64| {
        let mut rng = Rng::with_seed(seed);
        for _ in 0..rounds {
            let slot = &mut live[rng.usize(0..LIVE)];
            slot.check(1);
            *slot = Block::new(rng.usize(10..=500), 1);
        }
        live
    };
    thread::scope(|scope| {
        for n in 0..scale.threads as u64 {
            scope.spawn(move || {
                let mut rng = Rng::with_seed(n);
                let mut live: Vec<Block> = (0..LIVE).map(|_| Block::new(rng.usize(10..=500), 1)).collect();
                for life in 0..LIVES {
                    let successor = thread::spawn(move || serve(live, n * 100 + life));
                    live = successor.join().unwrap_or_else(|_| std::process::abort());
                }
            });
        }
    });
    rounds * LIVES * scale.threads as u64
}

fn produce(to: &SyncSender<Vec<Block>>, rounds: u64, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    for _ in 0..rounds {
        let batch = (0..100)
            .map(|_| Block::new(skewed_size(&mut rng, 7), 2))
            .collect();
        if to.send(batch).is_err() {
            return;
        }
    }
}

fn consume(from: &Receiver<Vec<Block>>) {
    for batch in from {
        batch.iter().for_each(|block| block.check(2));
    }
}

fn pipeline(scale: Scale) -> u64 {
    let rounds = scale.of(40_000);
    let (to, from) = sync_channel(64);
    thread::scope(|scope| {
        scope.spawn(move || consume(&from));
        produce(&to, rounds, 61);
        drop(to);
    });
    rounds * 100
}

fn free_only(scale: Scale) -> u64 {
    let rounds = scale.of(60_000) / scale.threads as u64;
    let (to, from) = sync_channel(64);
    thread::scope(|scope| {
        for n in 0..scale.threads as u64 {
            let to = to.clone();
            scope.spawn(move || produce(&to, rounds, 62 + n));
        }
        drop(to);
        consume(&from);
    });
    rounds * scale.threads as u64 * 100
}

fn exchange(scale: Scale) -> u64 {
    const PLACES: usize = 1000;
    let rounds = scale.of(4_000_000);
    let table: Vec<Mutex<Option<Block>>> = (0..PLACES).map(|_| Mutex::new(None)).collect();
    thread::scope(|scope| {
        for n in 0..scale.threads as u64 {
            let table = &table;
            scope.spawn(move || {
                let mut rng = Rng::with_seed(70 + n);
                let mut own: Vec<Option<Block>> = (0..500).map(|_| None).collect();
                for _ in 0..rounds {
                    let slot = rng.usize(0..500);
                    own[slot] = Some(Block::new(skewed_size(&mut rng, 9), 3));
                    if rng.u8(..) < 64 {
                        let place = &table[rng.usize(0..PLACES)];
                        let mut held = place.lock().unwrap_or_else(|e| e.into_inner());
                        std::mem::swap(&mut *held, &mut own[slot]);
                    }
                    if let Some(block) = &own[slot] {
                        block.check(3);
                    }
                }
            });
        }
    });
    rounds * scale.threads as u64
}

fn swarm(scale: Scale) -> u64 {
    let rounds = scale.of(28_000);
    let heap: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for n in 0..scale.threads as u64 {
            let heap = &heap;
            scope.spawn(move || {
                let mut rng = Rng::with_seed(80 + n);
                for _ in 0..rounds {
                    let size = rng.usize(16..=256);
                    let batch: Vec<Block> = (0..120).map(|_| Block::new(size, 4)).collect();
                    let taken = {
                        let mut heap = heap.lock().unwrap_or_else(|e| e.into_inner());
                        heap.insert(0, batch);
                        (heap.len() > 16).then(|| heap.pop()).flatten()
                    };
                    taken.iter().flatten().for_each(|block| block.check(4));
                }
            });
        }
    });
    rounds * scale.threads as u64 * 120
}

fn circle(scale: Scale) -> u64 {
    let rounds = scale.of(40_000);
    let mut ends: Vec<_> = (0..scale.threads)
        .map(|_| sync_channel::<Vec<Block>>(8))
        .collect();
    let first = ends[0].0.clone();
    thread::scope(|scope| {
        let mut next = Some(first);
        while let Some((to, from)) = ends.pop() {
            let neighbour = next.replace(to);
            let seed = ends.len() as u64;
            scope.spawn(move || {
                let mut rng = Rng::with_seed(90 + seed);
                let mut live: Vec<Block> = Vec::new();
                for _ in 0..rounds {
                    let foreign = from.try_recv().unwrap_or_default();
                    live.extend((0..60).map(|_| Block::new(skewed_size(&mut rng, 10), 5)));
                    rng.shuffle(&mut live);
                    let given = live.split_off(live.len() - 20);
                    live.truncate(600);
                    foreign.iter().for_each(|block| block.check(5));
                    if let Some(to) = &neighbour {
                        let _ = to.try_send(given);
                    }
                }
            });
        }
    });
    rounds * scale.threads as u64 * 60
}
