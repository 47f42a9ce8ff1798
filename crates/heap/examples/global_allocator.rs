//! A Rust program whose allocator is neap: a burst in four threads, and the resident memory (RSS)
//! falling when it has been freed.
//!
//! ```text
//! cargo run --release -p neap-heap --example global_allocator
//! ```
//!
//! As root `Neap` starts no helper thread; memory then goes back at the next calls of malloc and free.
//!
//! To do the same in a program of yours, depend on `neap-heap` and copy the two lines of the
//! `#[global_allocator]`.

use std::time::Duration;
use std::{fs, hint, io, thread};

#[global_allocator]
static ALLOCATOR: neap_heap::Neap = neap_heap::Neap;

const THREADS: usize = 4;
const BYTES_PER_THREAD: usize = 64 << 20;
/// Blocks of many sizes, as programs have them.
const BLOCK_BYTES: [usize; 6] = [24, 64, 200, 900, 5000, 40_000];

fn main() -> io::Result<()> {
    show("at the start")?;
    let workers: Vec<_> = (0..THREADS).map(|_| thread::spawn(burst)).collect();
    let blocks: Vec<Vec<Vec<u8>>> = workers.into_iter().filter_map(|w| w.join().ok()).collect();
    show("after the burst")?;

    drop(blocks);
    show("freed just now")?;
    // Without a helper thread (NEAP_HELPER=off) memory is given back in the program's own calls, so
    // this one keeps calling, as a program with something to do would.
    for wait in [50, 150, 300] {
        for _ in 0..wait / 5 {
            thread::sleep(Duration::from_millis(5));
            hint::black_box(vec![0_u8; 100_000]);
        }
        show(&format!("{wait} ms on"))?;
    }
    Ok(())
}

/// Many blocks, every byte of them written.
fn burst() -> Vec<Vec<u8>> {
    let mut blocks = Vec::new();
    let mut bytes = 0;
    for size in BLOCK_BYTES.iter().cycle() {
        if bytes >= BYTES_PER_THREAD {
            break;
        }
        blocks.push(vec![1_u8; *size]);
        bytes += size;
    }
    blocks
}

/// Prints the resident memory of this process: the second number of /proc/self/statm, in pages.
fn show(when: &str) -> io::Result<()> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: usize = statm
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    println!(
        "{when:<16} RSS {:>7.1} MiB",
        (pages * 4096) as f64 / (1 << 20) as f64
    );
    Ok(())
}
