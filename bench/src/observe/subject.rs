//! A process with so many mappings, that others look at.

use clap::Args;
use neap_map::Anon;
use neap_proc::read::Proc;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

/// Maps so many pages, each with other rights than its neighbours', and waits until standard input ends.
#[derive(Args, Debug)]
pub(crate) struct Mapped {
    mappings: usize,
}

/// What the verb does.
pub(crate) fn run(order: &Mapped) -> Result<(), String> {
    let page = usize::try_from(Proc::default().page_bytes()).map_err(|e| e.to_string())?;
    let mut read_only = Vec::new();
    let mut writable = Vec::new();
    for number in 0..order.mappings {
        let mut map = Anon::private(page).map().map_err(|e| e.to_string())?;
        map[0] = 1;
        // Neighbours with the same rights would become one mapping.
        if number % 2 == 0 {
            read_only.push(map.into_read_only().map_err(|e| e.to_string())?);
        } else {
            writable.push(map);
        }
    }
    println!("ready");
    std::io::stdout().flush().map_err(|e| e.to_string())?;
    let _ = std::io::stdin().read(&mut [0]);
    drop((read_only, writable));
    Ok(())
}

/// Such a process, which ends with this.
pub(crate) struct Subject {
    child: Child,
    /// Lines of its `/proc/PID/maps`.
    pub(crate) mappings: usize,
}

impl Subject {
    /// Starts one that has at least `mappings`.
    pub(crate) fn start(mappings: u64) -> Result<Subject, String> {
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut child = Command::new(own)
            .args(["mapped", &mappings.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("the process to look at: {e}"))?;
        let mut line = String::new();
        if let Some(out) = child.stdout.as_mut() {
            BufReader::new(out)
                .read_line(&mut line)
                .map_err(|e| e.to_string())?;
        }
        let mut subject = Subject { child, mappings: 0 };
        if line != "ready\n" {
            return Err(format!("the process to look at did not map {mappings} pages"));
        }
        let maps = std::fs::read(format!("/proc/{}/maps", subject.pid())).map_err(|e| e.to_string())?;
        subject.mappings = maps.iter().filter(|&&byte| byte == b'\n').count();
        Ok(subject)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
