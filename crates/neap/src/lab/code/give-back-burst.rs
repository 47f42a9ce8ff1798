use std::fs;
use std::thread::sleep;
use std::time::Duration;

unsafe extern "C" {
    safe fn malloc_trim(pad: usize) -> i32;
}

fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1);
    pages.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) * 4
}

fn main() {
    // Every tenth stays; with an argument every so many.
    let step = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10);
    let mut blocks: Vec<Vec<u8>> = (0..65_536).map(|_| vec![1; 1000]).collect();
    println!("{} kB", resident());
    for (index, block) in blocks.iter_mut().enumerate() {
        if index % step != 0 {
            *block = Vec::new();
        }
    }
    for wait in [0, 500, 500, 1000] {
        sleep(Duration::from_millis(wait));
        println!("{} kB after {wait} ms more", resident());
    }
    malloc_trim(0);
    println!("{} kB after malloc_trim", resident());
}
