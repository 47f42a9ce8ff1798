use std::fs;

unsafe extern "C" {
    safe fn malloc_trim(pad: usize) -> i32;
}

fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1);
    pages.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) * 4
}

fn main() {
    let mut blocks: Vec<Vec<u8>> = (0..64).map(|_| vec![1; 100 << 10]).collect();
    let full = resident();
    for block in blocks.iter_mut().step_by(2) {
        *block = Vec::new();
    }
    let holes = resident();
    malloc_trim(0);
    println!("{full} kB, every other freed {holes}, trimmed {}", resident());
}
