//! What it costs to map, to touch one byte, and to unmap.
#![allow(unsafe_code)]

use super::input::Input;
use crate::contest::{Contender, Contest, Target, Unit};
use neap_map::{Anon, FileMap};
use std::fs::File;
use std::time::Instant;

/// Microseconds for one of `count` calls of `once`, which says what it read.
fn pace(count: u64, mut once: impl FnMut() -> Result<u8, String>) -> Result<f64, String> {
    let start = Instant::now();
    for _ in 0..count {
        std::hint::black_box(once()?);
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / count as f64)
}

pub(crate) fn contests(input: &Input) -> Result<Vec<Contest>, String> {
    let mut contests = Vec::new();
    for (name, len, count) in [("map-file-4k", 4096, 200_000), ("map-file-16m", 16 << 20, 50_000)] {
        contests.push(of_file(input, name, len, input.scaled(count))?);
    }
    contests.push(of_anonymous(input.scaled(200_000)));
    Ok(contests)
}

fn equal_to_rivals() -> Vec<Target> {
    ["memmap2", "rustix"]
        .map(|rival| Target {
            who: "neap",
            rival,
            ratio: 1.0,
        })
        .to_vec()
}

fn of_file(input: &Input, name: &'static str, len: usize, count: u64) -> Result<Contest, String> {
    // The whole file, whose length each has to ask for.
    let path = input.scratch(name);
    std::fs::write(&path, vec![7; len]).map_err(|e| e.to_string())?;
    let open = || File::open(&path).map_err(|e| e.to_string());
    let (one, two, three) = (open()?, open()?, open()?);
    Ok(Contest {
        name,
        what: format!("Maps a file of {} KiB, reads a byte, unmaps.", len >> 10),
        unit: Unit::Microseconds,
        contenders: vec![
            Contender::new("neap", move || pace(count, || neap_once(&one))),
            Contender::new("memmap2", move || pace(count, || memmap2_once(&two))),
            Contender::new("rustix", move || pace(count, || rustix_once(&three))),
        ],
        targets: equal_to_rivals(),
    })
}

fn neap_once(file: &File) -> Result<u8, String> {
    let map = FileMap::of(file).map().map_err(|e| e.to_string())?;
    // SAFETY: nobody writes this file while it is measured.
    let map = unsafe { map.assume_unmodified() };
    Ok(map[0])
}

fn memmap2_once(file: &File) -> Result<u8, String> {
    // SAFETY: as above.
    let map = unsafe { memmap2::Mmap::map(file) }.map_err(|e| e.to_string())?;
    Ok(map[0])
}

fn rustix_once(file: &File) -> Result<u8, String> {
    let len = file.metadata().map_err(|e| e.to_string())?.len() as usize;
    use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
    // SAFETY: a fresh mapping at a place the kernel chooses, read once and unmapped.
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
        let byte = at.cast::<u8>().read_volatile();
        munmap(at, len).map_err(|e| e.to_string())?;
        Ok(byte)
    }
}

fn of_anonymous(count: u64) -> Contest {
    const LEN: usize = 1 << 20;
    Contest {
        name: "map-anonymous-1m",
        what: "Maps 1 MiB of zeros, writes a byte, unmaps.".to_owned(),
        unit: Unit::Microseconds,
        contenders: vec![
            Contender::new("neap", move || {
                pace(count, || {
                    let mut map = Anon::private(LEN).map().map_err(|e| e.to_string())?;
                    map[0] = 1;
                    Ok(map[0])
                })
            }),
            Contender::new("memmap2", move || {
                pace(count, || {
                    let mut map = memmap2::MmapMut::map_anon(LEN).map_err(|e| e.to_string())?;
                    map[0] = 1;
                    Ok(map[0])
                })
            }),
            Contender::new("rustix", move || pace(count, rustix_anonymous_once::<LEN>)),
        ],
        targets: equal_to_rivals(),
    }
}

fn rustix_anonymous_once<const LEN: usize>() -> Result<u8, String> {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
    // SAFETY: a fresh mapping at a place the kernel chooses, used here only.
    unsafe {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let at =
            mmap_anonymous(std::ptr::null_mut(), LEN, prot, MapFlags::PRIVATE).map_err(|e| e.to_string())?;
        at.cast::<u8>().write_volatile(1);
        let byte = at.cast::<u8>().read_volatile();
        munmap(at, LEN).map_err(|e| e.to_string())?;
        Ok(byte)
    }
}
