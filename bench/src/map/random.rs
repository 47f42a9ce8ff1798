//! Random reads: a word, or a page, from anywhere in the file, which is mapped once.
#![allow(unsafe_code)]

use super::input::{Input, evict};
use crate::contest::{Contender, Contest, Target, Unit};
use neap_map::{FileMap, Hint};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;
use std::time::Instant;

const PAGE: usize = 4096;

/// Where to read: `count` offsets of multiples of `step`, always the same.
fn offsets(len: u64, step: u64, count: u64) -> Rc<[usize]> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..count)
        .map(|_| (random.u64(0..len / step) * step) as usize)
        .collect()
}

/// Reads one value at an offset and makes a number of it.
type Reader = Box<dyn FnMut(usize) -> Result<u64, String>>;

fn first_word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

/// Runs through the offsets and answers with nanoseconds for each.
fn pace(offsets: &[usize], read: &mut Reader) -> Result<f64, String> {
    let start = Instant::now();
    let mut total = 0_u64;
    for &offset in offsets {
        total = total.wrapping_add(read(offset)?);
    }
    std::hint::black_box(total);
    Ok(start.elapsed().as_secs_f64() * 1e9 / offsets.len() as f64)
}

/// Makes a reader of `size` bytes (a word or a page) of the file.
type Way = fn(&File, usize, Hint) -> Result<Reader, String>;

const WAYS: [(&str, Way); 4] = [
    ("neap, slice", neap_slice),
    ("neap, copied", neap_copied),
    ("memmap2, slice", memmap2_slice),
    ("pread", plain_pread),
];

fn neap_slice(file: &File, size: usize, hint: Hint) -> Result<Reader, String> {
    let map = FileMap::of(file).map().map_err(|e| e.to_string())?;
    map.hint(.., hint).map_err(|e| e.to_string())?;
    // SAFETY: nobody writes this file while it is measured.
    let slice = unsafe { map.assume_unmodified() };
    let mut buffer = vec![0; size];
    Ok(Box::new(move |at| {
        buffer.copy_from_slice(&slice[at..at + size]);
        Ok(first_word(&buffer))
    }))
}

fn neap_copied(file: &File, size: usize, hint: Hint) -> Result<Reader, String> {
    let map = FileMap::of(file).map().map_err(|e| e.to_string())?;
    map.hint(.., hint).map_err(|e| e.to_string())?;
    if size == size_of::<u64>() {
        return Ok(Box::new(move |at| map.read::<u64>(at).map_err(|e| e.to_string())));
    }
    let mut buffer = vec![0; size];
    Ok(Box::new(move |at| {
        map.read_at(at, &mut buffer).map_err(|e| e.to_string())?;
        Ok(first_word(&buffer))
    }))
}

fn memmap2_slice(file: &File, size: usize, hint: Hint) -> Result<Reader, String> {
    // SAFETY: nobody writes this file while it is measured.
    let map = unsafe { memmap2::Mmap::map(file) }.map_err(|e| e.to_string())?;
    let is_random = hint == Hint::Random;
    map.advise(if is_random {
        memmap2::Advice::Random
    } else {
        memmap2::Advice::Normal
    })
    .map_err(|e| e.to_string())?;
    let mut buffer = vec![0; size];
    Ok(Box::new(move |at| {
        buffer.copy_from_slice(&map[at..at + size]);
        Ok(first_word(&buffer))
    }))
}

fn plain_pread(file: &File, size: usize, hint: Hint) -> Result<Reader, String> {
    let file = file.try_clone().map_err(|e| e.to_string())?;
    if hint == Hint::Random {
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Random).map_err(|e| e.to_string())?;
    }
    let mut buffer = vec![0; size];
    Ok(Box::new(move |at| {
        file.read_exact_at(&mut buffer, at as u64)
            .map_err(|e| e.to_string())?;
        Ok(first_word(&buffer))
    }))
}

fn equal(who: &'static str, rival: &'static str) -> Target {
    Target {
        who,
        rival,
        ratio: 1.0,
    }
}

pub(crate) fn contests(input: &Input) -> Result<Vec<Contest>, String> {
    Ok(vec![
        warm(input, "random-words-warm", size_of::<u64>(), 4_000_000)?,
        warm(input, "random-pages-warm", PAGE, 1_000_000)?,
        cold(input)?,
    ])
}

/// The file is mapped once, and all of it is in the page cache.
fn warm(input: &Input, name: &'static str, size: usize, count: u64) -> Result<Contest, String> {
    let offsets = offsets(input.len(), size as u64, input.scaled(count));
    let file = input.open()?;
    let mut contenders = Vec::new();
    for (name, way) in WAYS {
        let (offsets, mut reader) = (Rc::clone(&offsets), way(&file, size, Hint::Normal)?);
        // Faults on the pages of the map are not what is measured here.
        pace(&offsets, &mut reader)?;
        contenders.push(Contender::new(name, move || pace(&offsets, &mut reader)));
    }
    Ok(Contest {
        name,
        what: format!(
            "{} reads of {size} bytes, the file in the page cache.",
            offsets.len()
        ),
        unit: Unit::Nanoseconds,
        contenders,
        targets: vec![
            equal("neap, slice", "memmap2, slice"),
            equal("neap, copied", "pread"),
        ],
    })
}

/// The file is mapped anew by each run: what is mapped cannot be dropped from the page cache.
fn cold(input: &Input) -> Result<Contest, String> {
    let offsets = offsets(input.len(), PAGE as u64, input.scaled(8_000));
    let file = Rc::new(input.open()?);
    let contender = |(name, way): (&'static str, Way)| {
        let (offsets, file) = (Rc::clone(&offsets), Rc::clone(&file));
        Contender::new(name, move || {
            evict(&file)?;
            let mut reader = way(&file, PAGE, Hint::Random)?;
            pace(&offsets, &mut reader).map(|ns| ns / 1000.0)
        })
    };
    Ok(Contest {
        name: "random-pages-cold",
        what: format!(
            "{} reads of a page, advised as random, dropped from the page cache before.",
            offsets.len()
        ),
        unit: Unit::Microseconds,
        contenders: WAYS.map(contender).into_iter().collect(),
        targets: vec![equal("neap, slice", "memmap2, slice")],
    })
}
