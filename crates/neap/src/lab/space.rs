//! [`Region`]: an address space as its parts in the order of addresses, coarse enough to be drawn in a line.
//!
//! Neighbouring lines of maps that are of the same kind and name and leave no hole are one region: the four
//! or five parts of a library are one, the stack is one. A process of thousands of mappings is joined over
//! its smallest holes until [`REGIONS_MAX`] regions are left; `mappings` and `mapped_bytes` say how much is
//! in each.

use serde::{Deserialize, Serialize};

/// Regions that are kept.
pub(crate) const REGIONS_MAX: usize = 96;

/// What lies there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The executable.
    Program,
    /// `[heap]`: what the break has made.
    Heap,
    /// Private memory without a file.
    Anonymous,
    /// Shared with other processes, of a file or not.
    Shared,
    /// A file, private.
    File,
    /// A file whose name has `.so`.
    Library,
    /// `[stack]`.
    Stack,
    /// Addresses that are taken and may not be touched.
    Reserved,
    /// What the kernel puts there: `[vdso]`, `[vvar]`, `[vsyscall]`.
    Kernel,
}

impl Kind {
    /// Every one, in the order in which a legend names them.
    pub(crate) const ALL: &[Kind] = &[
        Kind::Program,
        Kind::Heap,
        Kind::Anonymous,
        Kind::Shared,
        Kind::File,
        Kind::Library,
        Kind::Stack,
        Kind::Reserved,
        Kind::Kernel,
    ];

    /// In words.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Kind::Program => "program",
            Kind::Heap => "heap",
            Kind::Anonymous => "anonymous",
            Kind::Shared => "shared",
            Kind::File => "file",
            Kind::Library => "library",
            Kind::Stack => "stack",
            Kind::Reserved => "no access",
            Kind::Kernel => "kernel's",
        }
    }
}

/// See the module. Addresses from `start` up to `end`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Region {
    pub(crate) kind: Kind,
    /// The file's name without its folders, or what maps says in brackets; empty for anonymous memory.
    pub(crate) name: String,
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Lines of maps in it.
    pub(crate) mappings: u64,
    /// Less than the length where holes are in it.
    pub(crate) mapped_bytes: u64,
}

/// The regions of lines of maps (blanks squeezed), in the order of addresses. `program` is the executable's
/// path.
pub(crate) fn regions(lines: &[String], program: &str) -> Vec<Region> {
    let mut regions: Vec<Region> = Vec::new();
    for region in lines.iter().filter_map(|line| region(line, program)) {
        match regions.last_mut() {
            Some(last) if last.end == region.start && last.is_like(&region) => last.join(&region),
            _ => regions.push(region),
        }
    }
    let mut hole = 1 << 12;
    while regions.len() > REGIONS_MAX && hole != 0 {
        regions = joined(regions, hole);
        hole <<= 1;
    }
    regions
}

/// Neighbours with a hole of at most `hole` bytes between them as one. Of different kinds the larger names
/// both.
fn joined(regions: Vec<Region>, hole: u64) -> Vec<Region> {
    let mut all: Vec<Region> = Vec::new();
    for region in regions {
        match all.last_mut() {
            Some(last) if region.start - last.end <= hole => last.join(&region),
            _ => all.push(region),
        }
    }
    all
}

impl Region {
    fn is_like(&self, other: &Region) -> bool {
        self.kind == other.kind && self.name == other.name
    }

    fn join(&mut self, next: &Region) {
        if next.mapped_bytes > self.mapped_bytes {
            self.kind = next.kind;
            self.name.clone_from(&next.name);
        }
        self.end = next.end;
        self.mappings += next.mappings;
        self.mapped_bytes += next.mapped_bytes;
    }
}

/// The addresses of a mapping's line.
pub(crate) fn span_of(line: &str) -> Option<(u64, u64)> {
    let (start, end) = line
        .split_once(' ')
        .map_or(line, |(span, _)| span)
        .split_once('-')?;
    Some((
        u64::from_str_radix(start, 16).ok()?,
        u64::from_str_radix(end, 16).ok()?,
    ))
}

/// One line: addresses, rights, offset, device, inode, path.
fn region(line: &str, program: &str) -> Option<Region> {
    let (start, end) = span_of(line)?;
    let mut fields = line.splitn(6, ' ');
    let rights = fields.nth(1)?;
    let path = fields.nth(3).unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or(path);
    let kind = match path {
        "[heap]" => Kind::Heap,
        "[stack]" => Kind::Stack,
        _ if path.starts_with("[v") => Kind::Kernel,
        _ if path == program && !program.is_empty() => Kind::Program,
        _ if path.starts_with('/') && name.contains(".so") => Kind::Library,
        _ if rights.ends_with('s') => Kind::Shared,
        _ if rights.starts_with("---") => Kind::Reserved,
        _ if path.starts_with('/') => Kind::File,
        _ => Kind::Anonymous,
    };
    Some(Region {
        kind,
        name: name.to_owned(),
        start,
        end,
        mappings: 1,
        mapped_bytes: end - start,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(all: &[&str]) -> Vec<String> {
        all.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn parts_of_one_thing_are_one_region() {
        let all = lines(&[
            "1000-2000 r--p 00000000 fe:00 7 /bin/a",
            "2000-3000 r-xp 00001000 fe:00 7 /bin/a",
            "3000-5000 rw-p 00000000 00:00 0 [heap]",
            "9000-a000 rw-p 00000000 00:00 0",
            "a000-b000 ---p 00000000 00:00 0",
            "b000-c000 r--p 00000000 fe:00 8 /lib/libc.so.6",
            "c000-d000 ---p 00001000 fe:00 8 /lib/libc.so.6",
            "e000-f000 rw-s 00000000 00:01 9 /memfd:x (deleted)",
            "f000-10000 r--p 00000000 fe:00 9 /tmp/data",
            "10000-20000 rw-p 00000000 00:00 0 [stack]",
            "20000-21000 r-xp 00000000 00:00 0 [vdso]",
        ]);
        let found: Vec<(Kind, u64, u64, u64)> = regions(&all, "/bin/a")
            .into_iter()
            .map(|region| (region.kind, region.start, region.end, region.mappings))
            .collect();
        assert_eq!(
            found,
            [
                (Kind::Program, 0x1000, 0x3000, 2),
                (Kind::Heap, 0x3000, 0x5000, 1),
                (Kind::Anonymous, 0x9000, 0xa000, 1),
                (Kind::Reserved, 0xa000, 0xb000, 1),
                (Kind::Library, 0xb000, 0xd000, 2),
                (Kind::Shared, 0xe000, 0xf000, 1),
                (Kind::File, 0xf000, 0x10000, 1),
                (Kind::Stack, 0x10000, 0x20000, 1),
                (Kind::Kernel, 0x20000, 0x21000, 1),
            ]
        );
    }

    #[test]
    fn thousands_of_mappings_are_few_regions_that_hold_them_all() {
        let all: Vec<String> = (0..30_000_u64)
            .map(|index| {
                let start = 0x10_0000 + index * 0x2000;
                format!("{start:x}-{:x} rw-p 00000000 00:00 0", start + 0x1000)
            })
            .collect();
        let found = regions(&all, "/bin/a");
        assert!(found.len() <= REGIONS_MAX, "{}", found.len());
        assert_eq!(found.iter().map(|region| region.mappings).sum::<u64>(), 30_000);
        assert_eq!(
            found.iter().map(|region| region.mapped_bytes).sum::<u64>(),
            30_000 * 0x1000
        );
    }
}
