//! `neap-load launch RECORD [NAME=VALUE]... -- COMMAND...`: runs a command with those variables and writes to
//! RECORD: wall seconds, processor seconds, peak resident bytes.
//!
//! It exists because it is small: a process begins with the peak of the one that started it.

use std::process::{Command, ExitCode};
use std::time::Instant;
use wait4::Wait4 as _;

/// Becomes the command's exit status.
pub(crate) fn run(words: &[String]) -> ExitCode {
    match launch(words) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("neap-load launch: {message}");
            ExitCode::FAILURE
        }
    }
}

fn launch(words: &[String]) -> Result<i32, String> {
    let (record, words) = words.split_first().ok_or("no record named")?;
    let dashes = words.iter().position(|w| w == "--").ok_or("no command named")?;
    let (program, arguments) = words[dashes + 1..].split_first().ok_or("no command named")?;
    let mut command = Command::new(program);
    command.args(arguments);
    for pair in &words[..dashes] {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("{pair}: no NAME=VALUE"))?;
        command.env(name, value);
    }
    let start = Instant::now();
    let child = command.spawn().map_err(|e| format!("{program}: {e}"))?;
    let used = child.wait4().map_err(|e| format!("{program}: {e}"))?;
    let wall = start.elapsed().as_secs_f64();
    let cpu = (used.rusage.utime + used.rusage.stime).as_secs_f64();
    std::fs::write(record, format!("{wall} {cpu} {}\n", used.rusage.maxrss))
        .map_err(|e| format!("{record}: {e}"))?;
    if !used.status.success() {
        eprintln!("{program}: {}", used.status);
    }
    Ok(used.status.code().unwrap_or(1))
}
