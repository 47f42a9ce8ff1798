//! `/proc/buddyinfo`: how many free blocks of each size the page allocator has, by zone.

use super::lines;

/// One zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The node.
    pub node: u32,
    /// `DMA32`, `Normal` and the like.
    pub name: String,
    /// Free blocks of 2^n pages at place n.
    pub free_blocks: Vec<u64>,
}

/// All zones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuddyInfo {
    /// In the order of the file.
    pub zones: Vec<Zone>,
    /// Lines that are no zone.
    pub unknown_lines: usize,
}

impl BuddyInfo {
    /// Reads what lines there are.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> BuddyInfo {
        let mut info = BuddyInfo::default();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match Zone::parse(line) {
                Some(zone) => info.zones.push(zone),
                None => info.unknown_lines += 1,
            }
        }
        info
    }

    /// Free pages in blocks of at least 2^`order` pages; stops at the largest number.
    #[must_use]
    pub fn free_pages_from(&self, order: u32) -> u64 {
        let zones = self.zones.iter();
        zones.fold(0, |sum, zone| sum.saturating_add(zone.free_pages_from(order)))
    }
}

impl Zone {
    fn parse(line: &[u8]) -> Option<Zone> {
        let mut words = lines::words(line.strip_prefix(b"Node")?);
        let node = lines::number(words.next()?.strip_suffix(b",")?)?;
        (words.next()? == b"zone").then_some(())?;
        Some(Zone {
            node: u32::try_from(node).ok()?,
            name: String::from_utf8_lossy(words.next()?).into_owned(),
            free_blocks: words.map(lines::number).collect::<Option<Vec<u64>>>()?,
        })
    }

    /// Free pages in blocks of at least 2^`order` pages; stops at the largest number.
    #[must_use]
    pub fn free_pages_from(&self, order: u32) -> u64 {
        let sizes = self
            .free_blocks
            .iter()
            .zip(0_u32..)
            .filter(|(_, size)| *size >= order);
        sizes.fold(0, |sum, (count, size)| {
            let pages = count.saturating_mul(1_u64.checked_shl(size).unwrap_or(u64::MAX));
            sum.saturating_add(pages)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_counted_in_pages() {
        let info = BuddyInfo::parse(b"Node 0, zone   Normal      3      2      0      1 \nNode x\n");
        assert_eq!((info.zones[0].node, info.zones[0].name.as_str()), (0, "Normal"));
        assert_eq!((info.free_pages_from(0), info.free_pages_from(1)), (15, 12));
        assert_eq!((info.free_pages_from(9), info.unknown_lines), (0, 1));
    }

    #[test]
    fn zones_of_a_machine_are_read() {
        let text = include_bytes!("../../tests/fixtures/linux-6.18/proc/buddyinfo");
        let info = BuddyInfo::parse(text);
        let names: Vec<&str> = info.zones.iter().map(|zone| zone.name.as_str()).collect();
        assert_eq!((names, info.unknown_lines), (vec!["DMA", "DMA32", "Normal"], 0));
        assert!(info.zones.iter().all(|zone| zone.free_blocks.len() == 11));
    }
}
