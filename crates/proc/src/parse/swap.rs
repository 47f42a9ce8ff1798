//! `/proc/swaps`: areas of swap; `mm_stat` of a zram device: memory that holds a compressed disk.
//!
//! Sources: proc_swaps(5); Documentation/admin-guide/blockdev/zram.rst.

use super::{Malformed, lines};

/// One area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwapArea {
    /// Path, with the blanks it has.
    pub path: String,
    /// `partition` or `file`.
    pub kind: String,
    /// Room.
    pub size_bytes: u64,
    /// Taken.
    pub used_bytes: u64,
    /// The higher is filled first.
    pub priority: i64,
}

/// All areas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swaps {
    /// In the order of the file.
    pub areas: Vec<SwapArea>,
    /// Lines that are neither the heading nor an area.
    pub unknown_lines: usize,
}

impl Swaps {
    /// Reads what lines there are.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Swaps {
        let mut swaps = Swaps::default();
        let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        for (number, line) in lines.enumerate() {
            match SwapArea::parse(line) {
                Some(area) => swaps.areas.push(area),
                None if number == 0 && line.starts_with(b"Filename") => {}
                None => swaps.unknown_lines += 1,
            }
        }
        swaps
    }
}

impl SwapArea {
    fn parse(line: &[u8]) -> Option<SwapArea> {
        let mut words = lines::words(line);
        let path = lines::unescaped(words.next()?);
        let kind = String::from_utf8_lossy(words.next()?).into_owned();
        let mut size = || lines::number(words.next()?)?.checked_mul(1024);
        let (size_bytes, used_bytes) = (size()?, size()?);
        let priority = core::str::from_utf8(words.next()?).ok()?.parse().ok()?;
        Some(SwapArea {
            path,
            kind,
            size_bytes,
            used_bytes,
            priority,
        })
    }
}

/// What a zram device holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZramMemory {
    /// What was written, uncompressed.
    pub original_bytes: u64,
    /// The same, compressed.
    pub compressed_bytes: u64,
    /// Memory that the device takes for it.
    pub used_bytes: u64,
    /// Memory it may take; 0 for no limit.
    pub limit_bytes: u64,
    /// The most it ever took.
    pub used_peak_bytes: u64,
    /// Pages full of one value, which take no memory.
    pub same_pages: u64,
    /// Pages given back by compaction.
    pub compacted_pages: u64,
    /// Pages that do not compress (4.20).
    pub huge_pages: Option<u64>,
    /// Such pages ever (5.12).
    pub huge_pages_ever: Option<u64>,
}

impl ZramMemory {
    /// Reads the row.
    ///
    /// # Errors
    /// [`Malformed`] when a column is missing or no number.
    pub fn parse(bytes: &[u8]) -> Result<ZramMemory, Malformed> {
        let mut words = lines::words(bytes);
        // A column that is there is a number; old kernels have fewer.
        let mut column = |field| {
            let number = words.next().map(lines::number);
            number.map(|number| number.ok_or(Malformed { field })).transpose()
        };
        let mut next = |field| column(field)?.ok_or(Malformed { field });
        Ok(ZramMemory {
            original_bytes: next("orig_data_size")?,
            compressed_bytes: next("compr_data_size")?,
            used_bytes: next("mem_used_total")?,
            limit_bytes: next("mem_limit")?,
            used_peak_bytes: next("mem_used_max")?,
            same_pages: next("same_pages")?,
            compacted_pages: next("pages_compacted")?,
            huge_pages: column("huge_pages")?,
            huge_pages_ever: column("huge_pages_since")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_come_out_in_bytes_and_blanks_come_back() {
        let swaps = Swaps::parse(include_bytes!("../../tests/fixtures/linux-6.1/proc/swaps"));
        assert_eq!((swaps.areas.len(), swaps.unknown_lines), (2, 0));
        assert_eq!(swaps.areas[0].used_bytes, 100 << 20);
        assert_eq!(swaps.areas[1].path, "/swap file");
        assert_eq!(swaps.areas[1].priority, -3);
        let none = Swaps::parse(include_bytes!("../../tests/fixtures/linux-6.18/proc/swaps"));
        assert_eq!(none, Swaps::default());
        assert_eq!(Swaps::parse(b"/x file 1 y 3\n").unknown_lines, 1);
        assert_eq!(
            Swaps::parse(b"/x file 1 1 3\nFilename Type Size\n").unknown_lines,
            1
        );
    }

    #[test]
    fn old_kernels_have_fewer_columns() {
        let new = include_bytes!("../../tests/fixtures/linux-6.1/sys/block/zram0/mm_stat");
        let zram = ZramMemory::parse(new).unwrap();
        assert_eq!((zram.original_bytes, zram.used_bytes), (100 << 20, 32 << 20));
        assert_eq!((zram.huge_pages, zram.huge_pages_ever), (Some(17), Some(0)));
        let old = ZramMemory::parse(b"1 2 3 0 4 5 6\n").unwrap();
        assert_eq!((old.compacted_pages, old.huge_pages), (6, None));
        let rubbish = ZramMemory::parse(b"1 2 3 0 4 5 6 x 7\n");
        assert_eq!(rubbish, Err(Malformed { field: "huge_pages" }));
        assert_eq!(
            ZramMemory::parse(b"1 2"),
            Err(Malformed {
                field: "mem_used_total"
            })
        );
    }
}
