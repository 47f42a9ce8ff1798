//! A file that grows by appending, and a log whose records must be on the disk.
#![allow(unsafe_code)]

use super::input::Input;
use crate::contest::{Contender, Contest, Target, Unit};
use neap_map::{Allocation, Growable, Growth, Room};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

/// A file that the run makes anew.
fn fresh(path: &Path) -> Result<File, String> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(true);
    options.open(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

pub(crate) fn contests(input: &Input) -> Result<Vec<Contest>, String> {
    Ok(vec![growth(input), log(input)?])
}

const BLOCK: usize = 4 << 10;

fn growth(input: &Input) -> Contest {
    let total = usize::try_from(input.scaled(1 << 30)).unwrap_or(BLOCK);
    let (one, two, three) = (
        input.scratch("grown-a"),
        input.scratch("grown-b"),
        input.scratch("grown-c"),
    );
    let rated = move |grow: &dyn Fn() -> Result<(), String>| {
        let start = Instant::now();
        grow()?;
        Ok(total as f64 / f64::from(1 << 30) / start.elapsed().as_secs_f64())
    };
    Contest {
        name: "growth-by-append",
        what: format!(
            "{} MiB in blocks of {} KiB to a new file.",
            total >> 20,
            BLOCK >> 10
        ),
        unit: Unit::GibPerSecond,
        contenders: vec![
            Contender::new("neap, Growable", move || rated(&|| by_growable(&one, total))),
            Contender::new("memmap2, mapped anew", move || rated(&|| by_memmap2(&two, total))),
            Contender::new("write", move || rated(&|| by_write(&three, total))),
        ],
        targets: vec![Target {
            who: "neap, Growable",
            rival: "memmap2, mapped anew",
            ratio: 1.0,
        }],
    }
}

fn by_growable(path: &Path, total: usize) -> Result<(), String> {
    let growth = Growth {
        storage: Allocation::Sparse,
        room: Room::Ahead,
    };
    let log = Growable::open_with(&fresh(path)?, total, growth).map_err(said)?;
    let block = [7; BLOCK];
    for _ in 0..total / BLOCK {
        log.append(&block).map_err(said)?;
    }
    Ok(())
}

/// As programs do it: twice the length, a new map, whenever it is full.
fn by_memmap2(path: &Path, total: usize) -> Result<(), String> {
    let file = fresh(path)?;
    let block = [7; BLOCK];
    let mut room = 1 << 20;
    file.set_len(room as u64).map_err(said)?;
    // SAFETY: nobody else has the file.
    let mut map = unsafe { memmap2::MmapMut::map_mut(&file) }.map_err(said)?;
    let mut len = 0;
    while len < total {
        if len + BLOCK > room {
            room *= 2;
            file.set_len(room as u64).map_err(said)?;
            // SAFETY: as above; the old map goes with this assignment.
            map = unsafe { memmap2::MmapMut::map_mut(&file) }.map_err(said)?;
        }
        map[len..len + BLOCK].copy_from_slice(&block);
        len += BLOCK;
    }
    drop(map);
    file.set_len(len as u64).map_err(said)
}

fn by_write(path: &Path, total: usize) -> Result<(), String> {
    let mut file = fresh(path)?;
    let block = [7; BLOCK];
    for _ in 0..total / BLOCK {
        file.write_all(&block).map_err(said)?;
    }
    Ok(())
}

const RECORD: usize = 256;
const GROUP: usize = 64;

/// Microseconds for a group of records that is on the disk when it has ended.
fn log(input: &Input) -> Result<Contest, String> {
    let groups = usize::try_from(input.scaled(400)).map_err(said)?;
    let room = groups * GROUP * RECORD;
    let paths = ["log-a", "log-b", "log-c"].map(|name| input.scratch(name));
    let [one, two, three] = paths;
    let paced = move |start: Instant| start.elapsed().as_secs_f64() * 1e6 / groups as f64;
    Ok(Contest {
        name: "log-append-flush",
        what: format!(
            "{groups} groups of {GROUP} records of {RECORD} bytes, each group on the disk before the next."
        ),
        unit: Unit::Microseconds,
        contenders: vec![
            Contender::new("neap, Growable", move || {
                let log = Growable::open(&fresh(&one)?, room).map_err(said)?;
                log.reserve(room).map_err(said)?;
                let start = Instant::now();
                for _ in 0..groups {
                    let from = log.len();
                    for _ in 0..GROUP {
                        log.append(&[7; RECORD]).map_err(said)?;
                    }
                    log.flush(from..log.len()).map_err(said)?;
                }
                Ok(paced(start))
            }),
            Contender::new("memmap2", move || {
                let file = fresh(&two)?;
                rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, room as u64)
                    .map_err(said)?;
                // SAFETY: nobody else has the file.
                let mut map = unsafe { memmap2::MmapMut::map_mut(&file) }.map_err(said)?;
                let start = Instant::now();
                for group in 0..groups {
                    let from = group * GROUP * RECORD;
                    for record in 0..GROUP {
                        let at = from + record * RECORD;
                        map[at..at + RECORD].copy_from_slice(&[7; RECORD]);
                    }
                    map.flush_range(from, GROUP * RECORD).map_err(said)?;
                }
                Ok(paced(start))
            }),
            Contender::new("write and fdatasync", move || {
                let mut file = fresh(&three)?;
                rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, room as u64)
                    .map_err(said)?;
                let start = Instant::now();
                for _ in 0..groups {
                    for _ in 0..GROUP {
                        file.write_all(&[7; RECORD]).map_err(said)?;
                    }
                    file.sync_data().map_err(said)?;
                }
                Ok(paced(start))
            }),
        ],
        targets: vec![Target {
            who: "neap, Growable",
            rival: "memmap2",
            ratio: 1.0,
        }],
    })
}
