//! The file of `neap snap`: text, first what was looked at, then the kernel's files as they were.
//!
//! ```text
//! neap snapshot 1
//! taken "2026-03-01T12:00:00.000Z"
//! pid 4711
//! command ["python3","burst.py"]
//! ...
//! == smaps_rollup 24 lines
//! 55d0c6e00000-7ffd5a3f5000 ---p 00000000 00:00 0    [rollup]
//! ...
//! == smaps 2806 lines
//! ...
//! == end
//! ```
//!
//! The first line has the version. Lines of `key VALUE` follow, VALUE in JSON; then sections, each with the
//! number of its lines, so that a file cut anywhere is found out; the end is a line of its own. Unknown keys and
//! sections are passed over: they do not change what the others mean. Whatever the bytes are, reading them
//! answers with a snapshot or with the line that is wrong.

use std::fmt;
use std::io::Write as _;
use std::ops::Range;

use neap_proc::parse::{Mapping, SmapsField};
use neap_proc::read::{PageRun, PageState};
use serde::de::DeserializeOwned;

use super::heap::{Heap, ROLES};
use super::snapshot::{Head, Raw};
use crate::heap::HeapSpan;

/// What the first line begins with.
const MAGIC: &str = "neap snapshot ";
/// Changes when a line changes its meaning.
const VERSION: u64 = 1;
/// Why a part is not in a file.
const NOT_KEPT: &str = "not in this snapshot";

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Counted from 1.
    line: usize,
    what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// A snapshot as a file.
pub(crate) fn write(raw: &Raw) -> Vec<u8> {
    let mut file = format!("{MAGIC}{VERSION}\n").into_bytes();
    let head = &raw.head;
    let mut key = |name: &str, value: serde_json::Value| {
        if !value.is_null() {
            // A vector takes all that is written.
            let _ = writeln!(file, "{name} {value}");
        }
    };
    key("taken", head.taken.as_str().into());
    key("pid", head.pid.into());
    key("name", head.name.as_str().into());
    key("command", head.command.clone().into());
    key("program", head.program.clone().into());
    key("kernel", head.kernel.as_str().into());
    key("page_bytes", head.page_bytes.into());
    key("started_ticks", head.started_ticks.into());
    key("stack_start", head.stack_start.into());
    key(
        "shared_memory_device",
        head.shared_memory.map(|(major, minor)| vec![major, minor]).into(),
    );
    for (name, part) in [
        ("status", raw.status.as_ref().err()),
        ("smaps_rollup", raw.rollup.as_ref().err()),
        ("heap", raw.heap.as_ref().err()),
        ("pages", raw.pages.as_ref().err()),
    ] {
        key(&format!("{name}_not_available"), part.cloned().into());
    }
    if let Ok(bytes) = &raw.status {
        section(&mut file, "status", bytes);
    }
    if let Ok(bytes) = &raw.rollup {
        section(&mut file, "smaps_rollup", bytes);
    }
    if let Ok(heap) = &raw.heap {
        section(&mut file, "heap", heap_text(heap).as_bytes());
    }
    if let Ok(runs) = &raw.pages {
        let lines = runs.iter().map(|run| {
            let Range { start, end } = run.addresses;
            format!("{start:x}-{end:x} {}\n", run.state.word())
        });
        section(&mut file, "pages", lines.collect::<String>().as_bytes());
    }
    section(&mut file, "smaps", &raw.smaps);
    file.extend_from_slice(b"== end\n");
    file
}

fn section(file: &mut Vec<u8>, name: &str, text: &[u8]) {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let lines = if text.is_empty() {
        0
    } else {
        text.split(|byte| *byte == b'\n').count()
    };
    let _ = writeln!(file, "== {name} {lines} lines");
    if lines > 0 {
        file.extend_from_slice(text);
        file.push(b'\n');
    }
}

fn heap_text(heap: &Heap) -> String {
    let counters = heap.counters.named();
    let counters = counters.iter().map(|(name, value)| format!("{name} {value}\n"));
    let spans = heap.spans.iter().map(|span| {
        let Range { start, end } = span.addresses;
        format!("span {start:x}-{end:x} {}\n", span.role.word())
    });
    counters.chain(spans).collect()
}

/// Reads a file.
pub(crate) fn read(bytes: &[u8]) -> Result<Raw, Damage> {
    let mut lines = Lines::new(bytes);
    lines.version()?;
    let mut raw = Raw {
        head: Head::default(),
        smaps: Vec::new(),
        rollup: Err(NOT_KEPT.to_owned()),
        status: Err(NOT_KEPT.to_owned()),
        heap: Err(NOT_KEPT.to_owned()),
        pages: Err(NOT_KEPT.to_owned()),
    };
    loop {
        let line = lines.text()?;
        if let Some(title) = line.strip_prefix("== ") {
            if title == "end" {
                return lines.end().and_then(|()| complete(raw, &lines));
            }
            part(&mut raw, title, &mut lines)?;
        } else {
            head_line(&mut raw, line, &lines)?;
        }
    }
}

fn complete(raw: Raw, lines: &Lines<'_>) -> Result<Raw, Damage> {
    let missing = if raw.head.pid == 0 {
        "no pid"
    } else if raw.head.page_bytes == 0 {
        "no page_bytes"
    } else if raw.smaps.is_empty() {
        "no smaps"
    } else {
        return Ok(raw);
    };
    Err(lines.damage(format!("the file ends, and has {missing}")))
}

fn head_line(raw: &mut Raw, line: &str, lines: &Lines<'_>) -> Result<(), Damage> {
    fn json<T: DeserializeOwned>(line: &str, lines: &Lines<'_>) -> Result<T, Damage> {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        serde_json::from_str(value)
            .map_err(|error| lines.damage(format!("`{key}` has no value that can be read: {error}")))
    }
    let head = &mut raw.head;
    match line.split_once(' ').map_or(line, |(key, _)| key) {
        "taken" => head.taken = json(line, lines)?,
        "pid" => head.pid = json(line, lines)?,
        "name" => head.name = json(line, lines)?,
        "command" => head.command = json(line, lines)?,
        "program" => head.program = json(line, lines)?,
        "kernel" => head.kernel = json(line, lines)?,
        "page_bytes" => head.page_bytes = json(line, lines)?,
        "started_ticks" => head.started_ticks = json(line, lines)?,
        "stack_start" => head.stack_start = json(line, lines)?,
        "shared_memory_device" => head.shared_memory = json(line, lines)?,
        "status_not_available" => raw.status = Err(json(line, lines)?),
        "smaps_rollup_not_available" => raw.rollup = Err(json(line, lines)?),
        "heap_not_available" => raw.heap = Err(json(line, lines)?),
        "pages_not_available" => raw.pages = Err(json(line, lines)?),
        key if !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') => {}
        _ => return Err(lines.damage("neither `key VALUE` nor the title of a section (`== NAME N lines`)")),
    }
    Ok(())
}

/// A section, from behind its title to its last line.
fn part(raw: &mut Raw, title: &str, lines: &mut Lines<'_>) -> Result<(), Damage> {
    let parsed = title
        .strip_suffix(" lines")
        .and_then(|title| title.split_once(' '));
    let parsed = parsed.and_then(|(name, count)| Some((name, count.parse::<usize>().ok()?)));
    let (name, count) = parsed.ok_or_else(|| lines.damage("a title is `== NAME N lines` or `== end`"))?;
    let mut heap = Heap::default();
    let mut runs: Vec<PageRun> = Vec::new();
    let start = lines.at;
    for done in 0..count {
        let line = lines.next().ok_or_else(|| {
            lines.damage(format!(
                "the file ends here; {} of {count} lines of {name} are missing",
                count - done
            ))
        })?;
        let good = match name {
            "smaps" => is_of_smaps(line, done == 0),
            "heap" => heap_line(&mut heap, line).is_some(),
            "pages" => page_line(&mut runs, line).is_some(),
            _ => true,
        };
        if !good {
            return Err(lines.damage(format!("no line of {name}")));
        }
    }
    let text = lines.bytes.get(start..lines.at).unwrap_or_default().to_vec();
    match name {
        "smaps" => raw.smaps = text,
        "smaps_rollup" => raw.rollup = Ok(text),
        "status" => raw.status = Ok(text),
        "heap" => raw.heap = Ok(heap),
        "pages" => raw.pages = Ok(runs),
        _ => {}
    }
    Ok(())
}

/// A mapping, or `Key: value`. A size must be a size; keys of later kernels are taken as they are.
fn is_of_smaps(line: &[u8], is_first: bool) -> bool {
    if !line.first().is_some_and(u8::is_ascii_uppercase) {
        return Mapping::parse(line).is_some();
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return false;
    };
    let (key, value) = line.split_at(colon);
    let is_size = || {
        let mut words = value[1..]
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        let number = words
            .next()
            .is_some_and(|word| word.iter().all(u8::is_ascii_digit));
        number && words.next() == Some(b"kB") && words.next().is_none()
    };
    !is_first && (SmapsField::from_key(key).is_none() || is_size())
}

fn heap_line(heap: &mut Heap, line: &[u8]) -> Option<()> {
    let (name, value) = str::from_utf8(line).ok()?.split_once(' ')?;
    if name == "span" {
        let (addresses, role) = value.split_once(' ')?;
        let role = ROLES.into_iter().find(|known| known.word() == role)?;
        let addresses = range(addresses)?;
        heap.spans.push(HeapSpan { addresses, role });
        return Some(());
    }
    let value = value.parse().ok()?;
    // A counter of a later neap is passed over.
    let _: Option<()> = heap.counters.set(name, value);
    Some(())
}

fn page_line(runs: &mut Vec<PageRun>, line: &[u8]) -> Option<()> {
    let (addresses, state) = str::from_utf8(line).ok()?.split_once(' ')?;
    let (addresses, state) = (range(addresses)?, PageState::from_word(state)?);
    let in_order = runs
        .last()
        .is_none_or(|last| last.addresses.end <= addresses.start);
    in_order.then(|| runs.push(PageRun { addresses, state }))
}

fn range(text: &str) -> Option<Range<u64>> {
    let (start, end) = text.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    let (start, end) = (number(start)?, number(end)?);
    (start < end).then_some(start..end)
}

/// The lines of a file, one after the other.
struct Lines<'a> {
    bytes: &'a [u8],
    /// Where the next line starts.
    at: usize,
    /// Lines that were taken.
    taken: usize,
}

impl<'a> Lines<'a> {
    fn new(bytes: &'a [u8]) -> Lines<'a> {
        Lines {
            bytes,
            at: 0,
            taken: 0,
        }
    }

    /// The next line without its end; `None` where the file ends, and for a last line without one.
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.taken += 1;
        let len = rest.iter().position(|byte| *byte == b'\n')?;
        self.at += len + 1;
        rest.get(..len)
    }

    fn text(&mut self) -> Result<&'a str, Damage> {
        let line = self
            .next()
            .ok_or_else(|| self.damage("the file ends here, without `== end`"))?;
        str::from_utf8(line).map_err(|_| self.damage("not UTF-8"))
    }

    fn version(&mut self) -> Result<(), Damage> {
        let start = self.next().and_then(|line| line.strip_prefix(MAGIC.as_bytes()));
        let version = start.and_then(|version| str::from_utf8(version).ok()?.parse::<u64>().ok());
        match version {
            Some(VERSION) => Ok(()),
            Some(other) => Err(self.damage(format!(
                "a snapshot of version {other}; this neap reads version {VERSION}: read it with the neap that wrote it"
            ))),
            None => Err(self.damage("no snapshot: it does not begin with `neap snapshot 1`; make one: neap snap PID -o FILE")),
        }
    }

    /// Nothing may follow.
    fn end(&mut self) -> Result<(), Damage> {
        if self.at == self.bytes.len() {
            return Ok(());
        }
        self.taken += 1;
        Err(self.damage("something follows `== end`"))
    }

    /// What is wrong with the line taken last.
    fn damage(&self, what: impl Into<String>) -> Damage {
        Damage {
            line: self.taken,
            what: what.into(),
        }
    }
}

#[cfg(test)]
mod tests;
