//! One thread that allocates as a certain kind of program does.

use crate::block::Block;
use crate::{Scale, Workload};
use fastrand::Rng;
use std::collections::VecDeque;

pub(crate) const ALL: &[Workload] = &[
    Workload {
        name: "numbers",
        what: "long integers that come and go, some hundred alive (as cfrac)",
        run: numbers,
    },
    Workload {
        name: "covers",
        what: "lists of small sets, copied, grown and dropped whole (as espresso)",
        run: covers,
    },
    Workload {
        name: "trees",
        what: "trees built, read and dropped (as barnes, binary trees)",
        run: trees,
    },
    Workload {
        name: "strings",
        what: "strings that grow piece by piece in a table (as ruby)",
        run: strings,
    },
    Workload {
        name: "store",
        what: "a table of values under an upper bound, the oldest evicted, and requests' buffers (as redis)",
        run: store,
    },
    Workload {
        name: "leak",
        what: "a server of which one request in fifty leaves something behind",
        run: leak,
    },
    Workload {
        name: "solver",
        what: "clauses in growing vectors, undone level by level (as z3, lean)",
        run: solver,
    },
];

fn numbers(scale: Scale) -> u64 {
    let rounds = scale.of(20_000_000);
    let mut rng = Rng::with_seed(11);
    let mut registers: Vec<Block> = (0..400).map(|_| Block::new(rng.usize(8..=48), 1)).collect();
    for _ in 0..rounds {
        let (a, b, c) = (rng.usize(0..400), rng.usize(0..400), rng.usize(0..400));
        let size = (registers[a].size() + registers[b].size()) / 2 + rng.usize(0..8);
        let product = Block::new(size.clamp(8, 96), 1);
        product.check(1);
        if rng.u8(..) < 64 {
            registers[c] = product;
        }
    }
    rounds
}

fn covers(scale: Scale) -> u64 {
    let rounds = scale.of(150_000);
    let mut rng = Rng::with_seed(12);
    let mut cover: Vec<Block> = (0..64).map(|_| Block::new(40, 2)).collect();
    let mut count = 64;
    for _ in 0..rounds {
        let mut list = Block::new(8 * cover.len(), 2);
        let mut copy: Vec<Block> = cover.iter().map(|set| Block::new(set.size(), 2)).collect();
        count += copy.len() as u64 + 2;
        list.resize(list.size() * 2, 2);
        for _ in 0..rng.usize(0..24) {
            copy.push(Block::new(rng.usize(3..100) * 4, 2));
            count += 1;
        }
        while copy.len() > 96 {
            copy.swap_remove(rng.usize(0..copy.len()));
        }
        if rng.bool() {
            cover = copy;
        }
    }
    count
}

struct Node {
    body: Block,
    children: [Option<usize>; 2],
}

fn trees(scale: Scale) -> u64 {
    const NODES: usize = 30_000;
    let rounds = scale.of(200);
    let mut rng = Rng::with_seed(13);
    let mut nodes: Vec<Node> = Vec::with_capacity(NODES);
    let mut count = 0;
    for _ in 0..rounds {
        for n in 0..NODES {
            let body = Block::new([32, 48, 96][rng.usize(0..3)], 3);
            nodes.push(Node {
                body,
                children: [None, None],
            });
            if n > 0 {
                let parent = rng.usize(0..n);
                nodes[parent].children[n % 2] = Some(n);
            }
        }
        for node in &nodes {
            for child in node.children.into_iter().flatten() {
                nodes[child].body.check(3);
            }
        }
        rng.shuffle(&mut nodes);
        nodes.clear();
        count += NODES as u64;
    }
    count
}

fn strings(scale: Scale) -> u64 {
    const SLOTS: usize = 4000;
    let rounds = scale.of(4_000_000);
    let mut rng = Rng::with_seed(14);
    let mut table: Vec<Block> = (0..SLOTS).map(|_| Block::new(24, 4)).collect();
    for _ in 0..rounds {
        let string = &mut table[rng.usize(0..SLOTS)];
        string.check(4);
        if string.size() > 2000 {
            *string = Block::new(24, 4);
        } else {
            let grown = string.size() + rng.usize(8..=string.size());
            string.resize(grown, 4);
        }
    }
    rounds
}

/// Sizes of values: mostly small, some of several KiB.
fn value(rng: &mut Rng) -> usize {
    match rng.u8(..) {
        0..=199 => rng.usize(16..=200),
        200..=251 => rng.usize(200..=2000),
        _ => rng.usize(2000..=16_000),
    }
}

fn store(scale: Scale) -> u64 {
    let rounds = scale.of(1_500_000);
    let mut rng = Rng::with_seed(15);
    let mut held: VecDeque<(Block, Block)> = VecDeque::new();
    let mut bytes = 0;
    for _ in 0..rounds {
        let request = Block::new(rng.usize(64..=512), 5);
        let mut reply = Block::new(16, 5);
        let kept = (Block::new(rng.usize(16..=64), 5), Block::new(value(&mut rng), 5));
        bytes += kept.1.size();
        reply.resize(kept.1.size(), 5);
        held.push_back(kept);
        while bytes > 24 << 20 {
            let Some((key, old)) = held.pop_front() else { break };
            key.check(5);
            bytes -= old.size();
        }
        request.check(5);
    }
    rounds * 5
}

fn leak(scale: Scale) -> u64 {
    let rounds = scale.of(1_000_000);
    let mut rng = Rng::with_seed(16);
    let mut left = Vec::new();
    let mut count = 0;
    for round in 0..rounds {
        let objects = rng.usize(4..20);
        let mut request: Vec<Block> = (0..objects).map(|_| Block::new(value(&mut rng), 6)).collect();
        count += objects as u64;
        if round % 50 == 0 {
            let forgotten = request.swap_remove(rng.usize(0..objects));
            left.push(forgotten);
        }
    }
    left.iter().for_each(|block| block.check(6));
    count
}

fn solver(scale: Scale) -> u64 {
    let rounds = scale.of(280);
    let mut rng = Rng::with_seed(17);
    let mut count = 0;
    let mut lasting: Vec<Block> = Vec::new();
    for round in 0..rounds {
        let mut levels: Vec<Vec<Block>> = Vec::new();
        for _ in 0..200 {
            let mut clauses: Vec<Block> = Vec::new();
            for _ in 0..rng.usize(40..100) {
                let mut clause = Block::new(24 + 4 * rng.usize(2..12), 7);
                count += 1;
                while rng.u8(..) < 90 {
                    let doubled = clause.size() * 2;
                    clause.resize(doubled.min(4096), 7);
                    count += 1;
                }
                clauses.push(clause);
            }
            levels.push(clauses);
            if rng.u8(..) < 100 {
                let depth = rng.usize(0..=levels.len());
                levels.truncate(depth.max(levels.len().saturating_sub(20)));
            }
        }
        lasting.extend(levels.into_iter().flatten().step_by(9));
        if round % 10 == 9 {
            lasting.truncate(2000);
        }
    }
    count
}
