//! `/proc/PID/numa_maps` (CONFIG_NUMA): on which nodes the pages of each mapping are.
//!
//! Counts are of pages of the mapping's own size, which is in the line since 3.8; they come out as pages, with
//! that size beside them. Source: numa(7).

use super::lines;

/// One mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumaMapping {
    /// First address.
    pub start: u64,
    /// The policy, as `default` or `bind:0-1`.
    pub policy: String,
    /// The file, with the blanks it has.
    pub file: Option<String>,
    /// It is the heap.
    pub heap: bool,
    /// It is a stack.
    pub stack: bool,
    /// It is of hugetlbfs.
    pub huge: bool,
    /// Anonymous pages.
    pub anon_pages: Option<u64>,
    /// Dirty pages.
    pub dirty_pages: Option<u64>,
    /// Mapped pages, where they are not all anonymous or dirty.
    pub mapped_pages: Option<u64>,
    /// The most processes that have one of the pages, if more than one.
    pub most_processes: Option<u64>,
    /// Pages of the swap cache.
    pub swap_cache_pages: Option<u64>,
    /// Pages used lately, if not all.
    pub active_pages: Option<u64>,
    /// Pages being written.
    pub writeback_pages: Option<u64>,
    /// Node and pages there.
    pub nodes: Vec<(u32, u64)>,
    /// Size of the pages.
    pub page_bytes: Option<u64>,
    /// Words that are none of the above.
    pub unknown_words: usize,
}

/// All mappings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumaMaps {
    /// In the order of the file, which is that of addresses.
    pub mappings: Vec<NumaMapping>,
    /// Lines that are no mapping.
    pub unknown_lines: usize,
}

impl NumaMaps {
    /// Reads what lines there are.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> NumaMaps {
        let mut maps = NumaMaps::default();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match NumaMapping::parse(line) {
                Some(mapping) => maps.mappings.push(mapping),
                None => maps.unknown_lines += 1,
            }
        }
        maps
    }
}

impl NumaMapping {
    fn parse(line: &[u8]) -> Option<NumaMapping> {
        let mut words = lines::words(line);
        let mut mapping = NumaMapping {
            start: lines::hex(words.next()?)?,
            policy: String::from_utf8_lossy(words.next()?).into_owned(),
            ..NumaMapping::default()
        };
        for word in words {
            mapping.unknown_words += usize::from(mapping.take(word).is_none());
        }
        Some(mapping)
    }

    fn take(&mut self, word: &[u8]) -> Option<()> {
        let Some(equals) = word.iter().position(|&byte| byte == b'=') else {
            match word {
                b"heap" => self.heap = true,
                b"stack" => self.stack = true,
                b"huge" => self.huge = true,
                _ => return None,
            }
            return Some(());
        };
        let (key, value) = (word.get(..equals)?, word.get(equals + 1..)?);
        let pages = match key {
            b"file" => {
                self.file = Some(lines::unescaped(value));
                return Some(());
            }
            b"kernelpagesize_kB" => {
                self.page_bytes = Some(lines::number(value)?.checked_mul(1024)?);
                return Some(());
            }
            b"anon" => &mut self.anon_pages,
            b"dirty" => &mut self.dirty_pages,
            b"mapped" => &mut self.mapped_pages,
            b"mapmax" => &mut self.most_processes,
            b"swapcache" => &mut self.swap_cache_pages,
            b"active" => &mut self.active_pages,
            b"writeback" => &mut self.writeback_pages,
            node => {
                let node = lines::number(node.strip_prefix(b"N")?)?;
                self.nodes
                    .push((u32::try_from(node).ok()?, lines::number(value)?));
                return Some(());
            }
        };
        *pages = Some(lines::number(value)?);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_have_their_pages_by_node() {
        let text = include_bytes!("../../tests/fixtures/linux-6.18/proc/4711/numa_maps");
        let maps = NumaMaps::parse(text);
        assert_eq!(maps.unknown_lines, 0);
        assert!(maps.mappings.iter().all(|mapping| mapping.unknown_words == 0));
        let named = |name: &str| maps.mappings.iter().find(|m| m.file.as_deref() == Some(name));
        let memfd = named("/memfd:a b (deleted)").unwrap();
        assert_eq!((memfd.dirty_pages, memfd.page_bytes), (Some(1), Some(4096)));
        assert_eq!(memfd.nodes, [(0, 1)]);
        let stack = maps.mappings.iter().find(|mapping| mapping.stack).unwrap();
        assert_eq!(stack.anon_pages, Some(15));
    }

    #[test]
    fn two_nodes_and_huge_pages() {
        let line = b"2aaaaac00000 bind:0-1 file=/anon_hugepage\\040(deleted) huge anon=4 dirty=4 N0=1 N1=3 kernelpagesize_kB=2048 news=1\nx\n";
        let maps = NumaMaps::parse(line);
        let mapping = &maps.mappings[0];
        assert_eq!(mapping.nodes, [(0, 1), (1, 3)]);
        assert_eq!((mapping.page_bytes, mapping.huge), (Some(2 << 20), true));
        assert_eq!((mapping.unknown_words, maps.unknown_lines), (1, 1));
    }
}
