//! The large files of one process: smaps, numa_maps, and pages by pagemap.
//!
//! smaps is read through one buffer into the parser, never held whole. What it says of a process that runs
//! is true of each piece only: stop the process, or live with a mapping that moved. A process without memory
//! (a zombie, a kernel thread) is `NoMemory`: since 6.15 opening its files fails with ESRCH, before they are
//! empty.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use neap_os::errno::Errno;
use neap_os::pagemap::{Pagemap, Query, Region};
use neap_os::unit::Span;

use super::Proc;
use crate::parse::{self, NumaMaps, Smaps, SmapsText, Word};
use crate::{Reading, Reason};

/// What is read of smaps at once. The kernel gives a page or so a call.
const PIECE_BYTES: usize = 64 << 10;

impl Proc {
    /// `/proc/PID/smaps`. Milliseconds for each GiB in memory, and some microseconds for each mapping.
    pub fn smaps(&self, pid: u32) -> Reading<Smaps> {
        match self.open(pid, "smaps").and_then(read_smaps) {
            Ok(smaps) if smaps.entries.is_empty() => Reading::Absent(Reason::NoMemory),
            Ok(smaps) => Reading::Value(smaps),
            Err(error) => self.missing(pid, &error),
        }
    }

    /// The bytes of a file of `/proc/PID` as they are, e.g. to keep them. `Absent(NoMemory)` where `smaps` of a
    /// process without memory is empty or cannot be opened.
    pub fn file(&self, pid: u32, name: &str) -> Reading<Vec<u8>> {
        let mut bytes = Vec::new();
        match self
            .open(pid, name)
            .and_then(|mut file| file.read_to_end(&mut bytes))
        {
            Ok(0) if name == "smaps" => Reading::Absent(Reason::NoMemory),
            Ok(_) => Reading::Value(bytes),
            Err(error) => self.missing(pid, &error),
        }
    }

    /// `/proc/PID/numa_maps`. As slow as smaps.
    pub fn numa_maps(&self, pid: u32) -> Reading<NumaMaps> {
        let mut bytes = Vec::new();
        match self
            .open(pid, "numa_maps")
            .and_then(|mut file| file.read_to_end(&mut bytes))
        {
            Ok(0) => Reading::Absent(Reason::NoMemory),
            Ok(_) => Reading::Value(NumaMaps::parse(&bytes)),
            Err(error) => self.missing(pid, &error),
        }
    }

    /// The words of `/proc/PID/pagemap` for the pages that `addresses` touch, each with its address, given to
    /// `take` one by one. The number of words read: fewer than pages where the address space ends.
    pub fn pagemap(&self, pid: u32, addresses: Range<u64>, mut take: impl FnMut(u64, Word)) -> Reading<u64> {
        match self
            .open(pid, "pagemap")
            .and_then(|file| words(&file, self.page_bytes(), addresses, &mut take))
        {
            Ok(count) => Reading::Value(count),
            Err(error) => self.missing(pid, &error),
        }
    }

    /// The pages of `addresses` in the states that `query` asks for, side by side ones together
    /// (PAGEMAP_SCAN, 6.7). `Absent(NotInThisKernel)` before, and in a recorded copy, where no kernel answers.
    pub fn scan(&self, pid: u32, addresses: Range<u64>, query: &Query) -> Reading<Vec<Region>> {
        if !self.is_running_kernels() {
            return Reading::Absent(Reason::NotInThisKernel);
        }
        let found = Pagemap::open_process(pid).and_then(|pagemap| {
            let found = regions(pagemap, addresses, query);
            pagemap.close();
            found
        });
        match found {
            Ok(regions) => Reading::Value(regions),
            Err(Errno::ENOTTY) => Reading::Absent(Reason::NotInThisKernel),
            Err(errno) => self.missing(pid, &io::Error::from_raw_os_error(errno.0)),
        }
    }

    fn open(&self, pid: u32, file: &str) -> io::Result<File> {
        File::open(self.folder(pid).join(file))
    }
}

fn read_smaps(mut file: File) -> io::Result<Smaps> {
    let (mut text, mut piece) = (SmapsText::default(), vec![0; PIECE_BYTES]);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(text.finish()),
            Ok(len) => text.feed(piece.get(..len).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn regions(pagemap: Pagemap, addresses: Range<u64>, query: &Query) -> Result<Vec<Region>, Errno> {
    let address = |at: u64| usize::try_from(at).map_err(|_| Errno::EFAULT);
    let (start, end) = (address(addresses.start)?, address(addresses.end)?);
    let mut rest = Span::new(start, end.saturating_sub(start)).ok_or(Errno::EINVAL)?;
    let (mut all, mut piece) = (Vec::new(), vec![Region::default(); 1024]);
    while !rest.is_empty() {
        let scanned = pagemap.scan(rest, query, &mut piece)?;
        all.extend(piece.iter().take(scanned.regions).copied());
        // A scan that neither finds nor passes anything would go on for ever.
        if scanned.regions == 0 || scanned.rest.base() <= rest.base() {
            break;
        }
        rest = scanned.rest;
    }
    Ok(all)
}

fn words(
    file: &File,
    page_bytes: u64,
    addresses: Range<u64>,
    take: &mut impl FnMut(u64, Word),
) -> io::Result<u64> {
    const WORD: u64 = 8;
    let page_bytes = page_bytes.max(1);
    let (mut page, end) = (addresses.start / page_bytes, addresses.end.div_ceil(page_bytes));
    let first = page;
    let mut piece = vec![0; PIECE_BYTES];
    while page < end {
        let wanted = usize::try_from((end - page).saturating_mul(WORD)).unwrap_or(PIECE_BYTES);
        let buffer = piece.get_mut(..wanted.min(PIECE_BYTES)).unwrap_or_default();
        let len = match file.read_at(buffer, page.saturating_mul(WORD)) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let before = page;
        for word in parse::pagemap_words(buffer.get(..len).unwrap_or_default()) {
            take(page.saturating_mul(page_bytes), word);
            page += 1;
        }
        if page == before {
            break;
        }
    }
    Ok(page - first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{PageCounts, SmapsField};

    #[test]
    fn this_process_has_no_unknown_line() {
        let smaps = Proc::default().smaps(std::process::id()).value().unwrap();
        assert_eq!(smaps.unknown_lines, 0);
        assert!(smaps.total().get(SmapsField::Rss).unwrap() > 0);
    }

    #[test]
    fn written_pages_are_present() {
        let page = Proc::default().page_bytes();
        let block = vec![1_u8; usize::try_from(8 * page).unwrap()];
        let start = block.as_ptr().addr() as u64;
        let mut counts = PageCounts::default();
        let read = Proc::default().pagemap(std::process::id(), start..start + 8 * page, |at, word| {
            assert!(at.is_multiple_of(page) && at + page > start);
            counts.add(word);
        });
        assert!((8..=9).contains(&read.value().unwrap()));
        assert!(counts.present >= 8 && counts.pages == read.value().unwrap());
    }

    #[test]
    fn a_scan_of_a_child_finds_its_stack() {
        use neap_os::pagemap::Categories;
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let proc = Proc::default();
        let maps = proc.maps(child.id()).value().unwrap();
        let stack = maps
            .mappings
            .iter()
            .find(|m| m.name == parse::Name::Special("[stack]".to_owned()));
        let addresses = stack.map_or(0..0, |stack| stack.start..stack.end);
        let found = proc.scan(child.id(), addresses.clone(), &Query::all_of(Categories::PRESENT));
        child.kill().unwrap();
        child.wait().unwrap();
        if found == Reading::Absent(Reason::NotInThisKernel) {
            return crate::skip::skip("PAGEMAP_SCAN came with 6.7");
        }
        let found = found.value().unwrap();
        let inside = |region: &Region| {
            let span = region.span();
            addresses.start <= span.base() as u64 && span.end() as u64 <= addresses.end
        };
        assert!(!found.is_empty() && found.iter().all(inside));
        let gone = proc.scan(u32::MAX, 0..4096, &Query::all_of(Categories::PRESENT));
        assert_eq!(gone, Reading::Absent(Reason::Gone));
    }

    #[test]
    fn who_has_no_memory_and_who_is_gone_have_reasons() {
        let proc = Proc::default();
        assert_eq!(proc.smaps(u32::MAX), Reading::Absent(Reason::Gone));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        // A zombie until it is waited for.
        while proc
            .stat(child.id())
            .value()
            .is_some_and(|stat| stat.state != parse::State::Zombie)
        {
            std::thread::yield_now();
        }
        let pid = child.id();
        let readings = [
            proc.smaps(pid).map(drop),
            proc.maps(pid).map(drop),
            proc.smaps_rollup(pid).map(drop),
        ];
        assert_eq!(readings, [Reading::Absent(Reason::NoMemory); 3]);
        let numa = proc.numa_maps(pid).map(drop);
        let without_numa = Reading::Absent(Reason::NotInThisKernel);
        assert!(numa == Reading::Absent(Reason::NoMemory) || numa == without_numa);
        let pagemap = proc.pagemap(pid, 0..4096, |_, _| ());
        assert!(
            pagemap.value().is_none_or(|words| words == 0),
            "no page of a zombie"
        );
        child.wait().unwrap();
    }

    #[test]
    fn a_recorded_process_is_read_as_a_live_one() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/linux-6.18/proc");
        let proc = Proc::recorded(root, 4096);
        assert_eq!(proc.smaps(4711).value().unwrap().entries.len(), 122);
        assert_eq!(proc.numa_maps(4711).value().unwrap().unknown_lines, 0);
        let none = proc.pagemap(4711, 0..4096, |_, _| ());
        assert_eq!(none, Reading::Absent(Reason::NotInThisKernel));
    }
}
