//! N times the same few calls, to count what one of them costs: the difference of 2 N and N.

use crate::block::Raw;
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;
use std::thread;

type Kind = (&'static str, fn(u64));

/// What can be counted.
const KINDS: [Kind; 11] = [
    ("empty", |n| (0..n).for_each(|_| Raw::nothing())),
    ("16", |n| (0..n).for_each(|_| Raw::malloc(16).free())),
    ("48", |n| (0..n).for_each(|_| Raw::malloc(48).free())),
    ("2048", |n| (0..n).for_each(|_| Raw::malloc(2048).free())),
    ("8192", |n| (0..n).for_each(|_| Raw::malloc(8192).free())),
    ("65536", |n| (0..n).for_each(|_| Raw::malloc(65_536).free())),
    ("1048576", |n| (0..n).for_each(|_| Raw::malloc(1 << 20).free())),
    ("calloc-64", |n| (0..n).for_each(|_| Raw::calloc(64).free())),
    ("realloc-64-200", |n| {
        (0..n).for_each(|_| Raw::malloc(64).realloc(200).free())
    }),
    ("queue-64", queue),
    ("cross-64", cross),
];

/// Does `n` of `name`.
pub(crate) fn run(name: &str, n: u64) -> ExitCode {
    let Some((_, kind)) = KINDS.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        eprintln!("neap-load: no pairs {name}; there are {}", known.join(" "));
        return ExitCode::FAILURE;
    };
    kind(n);
    ExitCode::SUCCESS
}

/// A queue of 1000 blocks: every block is freed 1000 calls after it came.
fn queue(n: u64) {
    let mut ring: Vec<Raw> = (0..1000).map(|_| Raw::malloc(64)).collect();
    let mut at = 0;
    for _ in 0..n {
        std::mem::replace(&mut ring[at], Raw::malloc(64)).free();
        at = if at == 999 { 0 } else { at + 1 };
    }
}

/// A thread allocates, this one frees, 1000 blocks a turn.
fn cross(n: u64) {
    let (to, from) = sync_channel::<Vec<Raw>>(0);
    let (back, again) = sync_channel::<Vec<Raw>>(0);
    let turns = n / 1000;
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut batch = Vec::with_capacity(1000);
            for _ in 0..turns {
                batch.extend((0..1000).map(|_| Raw::malloc(64)));
                let sent = to.send(std::mem::take(&mut batch));
                match sent.ok().and_then(|()| again.recv().ok()) {
                    Some(empty) => batch = empty,
                    None => return,
                }
            }
        });
        for mut batch in from {
            batch.drain(..).for_each(Raw::free);
            if back.send(batch).is_err() {
                return;
            }
        }
    });
}
