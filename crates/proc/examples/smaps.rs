//! Reads a process's smaps and prints its sums: `cargo run --release -p neap-proc --example smaps PID`.

use std::process::ExitCode;

use neap_proc::model::Footprint;
use neap_proc::read::Proc;

fn main() -> ExitCode {
    let Some(pid) = std::env::args().nth(1).and_then(|pid| pid.parse().ok()) else {
        eprintln!("usage: smaps PID");
        return ExitCode::from(2);
    };
    let reading = Proc::default().smaps(pid);
    match reading.as_value() {
        Some(smaps) => {
            println!("{} mappings: {:?}", smaps.entries.len(), Footprint::of(smaps));
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("{pid}: {}", reading.reason().unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}
