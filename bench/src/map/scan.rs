//! Sequential scans: every word of the file is added up, once.
//!
//! Each run maps anew, as a program does that reads a file once. `memory` is the same sum over anonymous
//! memory that is there already: what one core can read.
#![allow(unsafe_code)]

use super::input::{Input, evict};
use crate::contest::{Contender, Contest, Target, Unit};
use neap_map::{Anon, FileMap, Populate};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

/// What a reader asks for at a time: fits the second-level cache beside what else is there.
const CHUNK: usize = 128 << 10;

/// The sum of the words in `bytes`.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    words
        .iter()
        .fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)))
}

/// Runs `scan`, compares its sum and says how fast it was.
fn rate(len: u64, expected: u64, scan: impl FnOnce() -> Result<u64, String>) -> Result<f64, String> {
    let start = Instant::now();
    let found = scan()?;
    let seconds = start.elapsed().as_secs_f64();
    if found != expected {
        return Err(format!("read {found:x} where {expected:x} is"));
    }
    Ok(len as f64 / f64::from(1 << 30) / seconds)
}

/// Adds up the words of a file.
type Scan = fn(&File) -> Result<u64, String>;

const SCANS: [(&str, Scan); 6] = [
    ("neap, slice", neap_slice),
    ("neap, copied", neap_copied),
    ("memmap2, slice", memmap2_slice),
    ("rustix, slice", rustix_slice),
    ("read", plain_read),
    ("pread", plain_pread),
];

pub(crate) fn contests(input: &Input) -> Result<Vec<Contest>, String> {
    let len = input.len();
    let expected = plain_read(&input.open()?)?;
    let mut memory = Anon::private(usize::try_from(len).map_err(|e| e.to_string())?)
        .populate(Populate::Now)
        .map()
        .map_err(|e| e.to_string())?;
    input.open()?.read_exact(&mut memory).map_err(|e| e.to_string())?;
    let of_memory = Contender::new("memory", move || rate(len, expected, || Ok(sum(&memory))));
    let mut warm = vec![of_memory];
    let mut cold = Vec::new();
    for (name, scan) in SCANS {
        let file = input.open()?;
        warm.push(Contender::new(name, move || rate(len, expected, || scan(&file))));
        let file = input.open()?;
        cold.push(Contender::new(name, move || {
            evict(&file)?;
            rate(len, expected, || scan(&file))
        }));
    }
    let equal = |who, rival| Target {
        who,
        rival,
        ratio: 1.0,
    };
    Ok(vec![
        Contest {
            name: "scan-warm",
            what: format!(
                "Sum of a file of {} MiB in the page cache, mapping and unmapping included.",
                len >> 20
            ),
            unit: Unit::GibPerSecond,
            contenders: warm,
            targets: vec![
                equal("neap, slice", "memmap2, slice"),
                Target {
                    who: "neap, copied",
                    rival: "memory",
                    ratio: 0.9,
                },
                equal("neap, copied", "pread"),
            ],
        },
        Contest {
            name: "scan-cold",
            what: format!("The same {} MiB, dropped from the page cache before.", len >> 20),
            unit: Unit::GibPerSecond,
            contenders: cold,
            targets: vec![equal("neap, slice", "memmap2, slice")],
        },
    ])
}

fn neap_slice(file: &File) -> Result<u64, String> {
    let map = FileMap::of(file).map().map_err(|e| e.to_string())?;
    // SAFETY: nobody writes this file while it is measured.
    let map = unsafe { map.assume_unmodified() };
    Ok(sum(&map))
}

fn neap_copied(file: &File) -> Result<u64, String> {
    let map = FileMap::of(file).map().map_err(|e| e.to_string())?;
    let mut buffer = vec![0; CHUNK];
    let mut total = 0_u64;
    let mut offset = 0;
    while offset < map.len() {
        let part = &mut buffer[..CHUNK.min(map.len() - offset)];
        map.read_at(offset, part).map_err(|e| e.to_string())?;
        total = total.wrapping_add(sum(part));
        offset += part.len();
    }
    Ok(total)
}

fn memmap2_slice(file: &File) -> Result<u64, String> {
    // SAFETY: nobody writes this file while it is measured.
    let map = unsafe { memmap2::Mmap::map(file) }.map_err(|e| e.to_string())?;
    Ok(sum(&map))
}

fn rustix_slice(file: &File) -> Result<u64, String> {
    use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
    let len = file.metadata().map_err(|e| e.to_string())?.len() as usize;
    // SAFETY: a fresh mapping at a place the kernel chooses; the slice ends before it is unmapped, and nobody
    // writes the file.
    unsafe {
        let at = mmap(
            std::ptr::null_mut(),
            len,
            ProtFlags::READ,
            MapFlags::SHARED,
            file,
            0,
        )
        .map_err(|e| e.to_string())?;
        let total = sum(std::slice::from_raw_parts(at.cast::<u8>(), len));
        munmap(at, len).map_err(|e| e.to_string())?;
        Ok(total)
    }
}

fn plain_read(file: &File) -> Result<u64, String> {
    use std::io::{Seek as _, SeekFrom};
    let mut file = file;
    file.seek(SeekFrom::Start(0)).map_err(|e| e.to_string())?;
    let mut buffer = vec![0; CHUNK];
    let mut total = 0_u64;
    loop {
        match file.read(&mut buffer).map_err(|e| e.to_string())? {
            0 => return Ok(total),
            n => total = total.wrapping_add(sum(&buffer[..n])),
        }
    }
}

fn plain_pread(file: &File) -> Result<u64, String> {
    let mut buffer = vec![0; CHUNK];
    let (mut total, mut offset) = (0_u64, 0_u64);
    loop {
        match file.read_at(&mut buffer, offset).map_err(|e| e.to_string())? {
            0 => return Ok(total),
            n => {
                total = total.wrapping_add(sum(&buffer[..n]));
                offset += n as u64;
            }
        }
    }
}
