//! A burst in a child under libneap.so: does its memory really fall?

use std::ffi::OsStr;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use neap_proc::read::Proc;
use serde::{Deserialize, Serialize};

use crate::run::board::Board;

/// The hidden option of `neap doctor` by which the child knows what it is.
pub(crate) const OPTION: &str = "--burst";

const BLOCKS: usize = 1024;
const BLOCK_BYTES: usize = 65536;
/// What may stay of the burst.
pub(crate) const REST_BYTES: u64 = 8 << 20;
/// How long the child waits for it to fall.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the child saw of itself.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Burst {
    pub(crate) first_bytes: u64,
    pub(crate) peak_bytes: u64,
    pub(crate) last_bytes: u64,
    /// From the last free until the memory had fallen, or until patience ended.
    pub(crate) waited_ns: u64,
}

/// A burst and what the heap counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) burst: Burst,
    /// Bytes given back and starts of the helper; `None` when the process took no page of the board.
    pub(crate) counted: Option<(u64, u64)>,
}

/// The child: allocates, frees, waits, prints.
pub(crate) fn main() {
    let proc = Proc::default();
    let own = std::process::id();
    let rss = || proc.statm(own).value().map_or(0, |sizes| sizes.resident_bytes);
    let first_bytes = rss();
    let mut blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|_| vec![1; BLOCK_BYTES]).collect();
    black_box(&mut blocks);
    let peak_bytes = rss();
    drop(blocks);
    let freed = Instant::now();
    let mut last_bytes = rss();
    while last_bytes > first_bytes + REST_BYTES && freed.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
        last_bytes = rss();
    }
    let burst = Burst {
        first_bytes,
        peak_bytes,
        last_bytes,
        waited_ns: crate::run::since(freed),
    };
    if let Ok(text) = serde_json::to_string(&burst) {
        println!("{text}");
    }
}

/// Runs the child with this LD_PRELOAD.
pub(crate) fn run(preload: &OsStr) -> Result<Seen, String> {
    let mut board = Board::new().map_err(|error| format!("no board: {error}"))?;
    let output = Command::new("/proc/self/exe")
        .args(["doctor", OPTION])
        .env("LD_PRELOAD", preload)
        .env(neap_abi::ENV_BOARD, board.name())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("neap could not start itself: {error}"))?;
    let burst = serde_json::from_slice(&output.stdout).map_err(|_| {
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().next_back().unwrap_or("it said nothing").to_owned();
        format!("a child under it ended with {}: {line}", output.status)
    })?;
    board.refresh_all();
    let counted = board
        .snapshots()
        .last()
        .map(|page| (page.given_back_bytes, page.helper_starts));
    Ok(Seen { burst, counted })
}
