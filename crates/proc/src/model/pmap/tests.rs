//! The real pmap's rows: recorded, and of a child that is stopped.

use std::process::{Child, Command};

use super::*;
use crate::read::Proc;
use crate::skip::missing;

/// The rows and the footer of what pmap printed.
fn printed(text: &str) -> (Vec<Row>, Footer) {
    let (mut rows, mut footer) = (Vec::new(), Footer::default());
    let number = |words: &mut std::str::SplitAsciiWhitespace| words.next().unwrap().parse::<u64>().unwrap();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("total") => {
                assert_eq!(words.next(), Some("kB"));
                footer = Footer {
                    kilobytes: number(&mut words),
                    rss_kilobytes: number(&mut words),
                    dirty_kilobytes: number(&mut words),
                };
            }
            Some(first) if first.len() == 16 && !first.starts_with('-') => rows.push(Row {
                start: u64::from_str_radix(first, 16).unwrap(),
                kilobytes: number(&mut words),
                rss_kilobytes: Some(number(&mut words)),
                dirty_kilobytes: Some(number(&mut words)),
                mode: words.next().unwrap().as_bytes().try_into().unwrap(),
                // A blank, and the name with its own.
                name: line.get(47..).unwrap().to_owned(),
            }),
            _ => {}
        }
    }
    (rows, footer)
}

#[test]
fn a_recorded_process_has_the_rows_that_pmap_printed() {
    let text = include_str!("../../../tests/fixtures/linux-6.18/proc/4711/pmap-x.txt");
    let smaps = Smaps::parse(include_bytes!(
        "../../../tests/fixtures/linux-6.18/proc/4711/smaps"
    ));
    // Column 28 of its stat.
    let beside = Beside {
        stack: Some(140_733_523_757_808),
        shared_memory: None,
    };
    let rows = Row::all(&smaps, &beside);
    let (wanted, footer) = printed(text);
    assert_eq!((wanted.len(), Footer::of(&rows)), (122, footer));
    assert_eq!(rows, wanted);
    let mut lines = vec![COLUMNS.to_owned()];
    lines.extend(rows.iter().map(Row::to_string));
    lines.extend([RULE.to_owned(), footer.to_string()]);
    let printed: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(lines, printed);
}

#[test]
fn names_are_cut_and_made_printable() {
    let text = b"1000-2000 rw-s 0 00:01 26 /SYSV00000000 (deleted)
2000-3000 rw-s 0 00:01 9 /memfd:end/ (deleted)
3000-4000 rw-p 0 0:0 0 [anon:a/]
4000-5000 r--p 0 8:1 5 /d/\xff\xc3\xa9\x1b a\\012\n5000-6000 rw-p 0 0:0 0 [anon:x/b]\n6000-7000 rw-p 0 0:0 0 /a/\n7000-8000 rw-s 0 00:02 26 /SYSV00000000 (deleted)\n8000-9000 rw-p 0 0:0 0 \n";
    let smaps = Smaps::parse(text);
    let beside = Beside {
        stack: Some(0x8500),
        shared_memory: Some((0, 1)),
    };
    let names: Vec<String> = Row::all(&smaps, &beside)
        .into_iter()
        .map(|row| row.name)
        .collect();
    assert_eq!(
        names,
        [
            "  [ shmid=0x1a ]",
            " (deleted)",
            "]",
            "???? a\\012",
            "b]",
            "/",
            "SYSV00000000 (deleted)",
            "  [ stack ]",
        ]
    );
}

struct Stopped(Child);

impl Stopped {
    fn new() -> Stopped {
        let stopped = Stopped(Command::new("sleep").arg("60").spawn().unwrap());
        let pid = stopped.0.id();
        // It must be sleeping first: exec(2) is behind it then.
        wait_for(pid, crate::parse::State::Sleeping);
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -STOP {pid}"))
            .status();
        assert!(sent.unwrap().success());
        wait_for(pid, crate::parse::State::Stopped);
        stopped
    }
}

fn wait_for(pid: u32, state: crate::parse::State) {
    let is = || {
        let stat = Proc::default().stat(pid).value().unwrap();
        stat.comm == "sleep" && stat.state == state
    };
    while !is() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_stopped_child_has_the_rows_that_pmap_prints() {
    let child = Stopped::new();
    let pid = child.0.id();
    let output = match Command::new("pmap").arg("-x").arg(pid.to_string()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return missing("pmap");
        }
        Err(error) => panic!("pmap: {error}"),
    };
    assert!(output.status.success());
    let smaps = Proc::default().smaps(pid).value().unwrap();
    let maps = Proc::default().maps(pid).value().unwrap();
    let beside = Beside {
        stack: stack_by_name(&maps.mappings),
        shared_memory: None,
    };
    let rows = Row::all(&smaps, &beside);
    let (wanted, footer) = printed(&String::from_utf8(output.stdout).unwrap());
    assert!(!wanted.is_empty());
    assert_eq!((rows, footer), (wanted.clone(), Footer::of(&wanted)));
}
