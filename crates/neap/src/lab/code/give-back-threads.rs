use std::fs;
use std::thread::{sleep, spawn};
use std::time::Duration;

unsafe extern "C" {
    safe fn malloc_trim(pad: usize) -> i32;
}

fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1);
    pages.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) * 4
}

fn part() -> Option<Vec<u8>> {
    let mut blocks: Vec<Vec<u8>> = (0..16_384).map(|_| vec![1; 1000]).collect();
    println!("{} kB", resident());
    // The last one pins what the others leave.
    blocks.pop()
}

fn main() {
    let threads: Vec<_> = (0..4).map(|_| spawn(part)).collect();
    let lasts: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
    sleep(Duration::from_secs(2));
    println!("{} threads have ended: {} kB after 2 s", lasts.len(), resident());
    malloc_trim(0);
    println!("{} kB after malloc_trim", resident());
}
