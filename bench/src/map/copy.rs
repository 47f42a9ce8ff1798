//! The guarded copy beside memcpy: the same bytes of the same file, copied out.
#![allow(unsafe_code)]

use super::input::Input;
use crate::contest::{Contender, Contest, Target, Unit};
use neap_map::FileMap;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// Where copies go: to a page's worth of offsets, this far apart.
const STRIDE: usize = 272;
const STRIDES: usize = 4096;

/// Bytes that one run copies.
const VOLUME: usize = 1 << 30;

/// GiB/s of copying `size` bytes at a time, from a part of the file of `reach` bytes.
fn rate(
    volume: usize,
    size: usize,
    reach: usize,
    mut copy: impl FnMut(usize) -> Result<(), String>,
) -> Result<f64, String> {
    let start = Instant::now();
    let (mut offset, mut done) = (0, 0);
    while done < volume {
        copy(offset)?;
        offset = if offset + 2 * size <= reach {
            offset + size
        } else {
            0
        };
        done += size;
    }
    Ok(done as f64 / f64::from(1 << 30) / start.elapsed().as_secs_f64())
}

pub(crate) fn contests(input: &Input) -> Result<Vec<Contest>, String> {
    // What is copied, and from how much: the first-level cache, the second, memory.
    let sizes = [
        ("copy-64", 64, 16 << 10, 1.0),
        ("copy-4k", 4 << 10, 16 << 10, 0.95),
        ("copy-64k", 64 << 10, 64 << 10, 0.95),
        ("copy-1m", 1 << 20, 128 << 20, 0.95),
    ];
    let mut contests = Vec::new();
    for (name, size, reach, ratio) in sizes {
        let file = input.open()?;
        let map = Rc::new(
            FileMap::of(&file)
                .range(..reach as u64)
                .map()
                .map_err(|e| e.to_string())?,
        );
        let slice = FileMap::of(&file)
            .range(..reach as u64)
            .map()
            .map_err(|e| e.to_string())?;
        // SAFETY: nobody writes this file while it is measured.
        let slice = unsafe { slice.assume_unmodified() };
        let volume = usize::try_from(input.scaled(VOLUME as u64)).map_err(|e| e.to_string())?;
        // The same places to copy to, many: one alone may lie well or badly to what is read.
        let place = Rc::new(RefCell::new(vec![0_u8; size + 2 * STRIDES]));
        let (one, two) = (Rc::clone(&place), place);
        contests.push(Contest {
            name,
            what: format!("{size} bytes at a time, out of {} KiB of a file.", reach >> 10),
            unit: Unit::GibPerSecond,
            contenders: vec![
                Contender::new("memcpy", move || {
                    let mut one = one.borrow_mut();
                    let mut strides = (0..STRIDES).step_by(STRIDE).cycle();
                    rate(volume, size, reach, |at| {
                        let to = strides.next().unwrap_or(0);
                        one[to..to + size].copy_from_slice(std::hint::black_box(&slice[at..at + size]));
                        std::hint::black_box(&one);
                        Ok(())
                    })
                }),
                Contender::new("neap, guarded", move || {
                    let mut two = two.borrow_mut();
                    let mut strides = (0..STRIDES).step_by(STRIDE).cycle();
                    rate(volume, size, reach, |at| {
                        let to = strides.next().unwrap_or(0);
                        map.read_at(at, &mut two[to..to + size])
                            .map_err(|e| e.to_string())?;
                        std::hint::black_box(&two);
                        Ok(())
                    })
                }),
            ],
            // Below a page nothing was promised.
            targets: if size < 4096 {
                Vec::new()
            } else {
                vec![Target {
                    who: "neap, guarded",
                    rival: "memcpy",
                    ratio,
                }]
            },
        });
    }
    Ok(contests)
}
