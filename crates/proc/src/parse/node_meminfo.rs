//! `/sys/devices/system/node/nodeN/meminfo` (CONFIG_NUMA): where the memory of one node is.
//!
//! Its lines are those of `/proc/meminfo` behind `Node N`, with two of its own. It has no MemAvailable, and
//! its HugePages lines are counts of pages of the default size, as there. Source: drivers/base/node.c.

use super::{Meminfo, lines};

/// The lines of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeMeminfo {
    /// The node, as the lines say.
    pub node: Option<u32>,
    /// MemUsed: MemTotal − MemFree, so with the page cache.
    pub used_bytes: Option<u64>,
    /// FilePages: the page cache with shared memory, buffers and the swap cache.
    pub file_pages_bytes: Option<u64>,
    /// The lines that `/proc/meminfo` has, too, with those that are unknown or of another node.
    pub shared: Meminfo,
}

impl NodeMeminfo {
    /// Reads what lines there are.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> NodeMeminfo {
        let mut info = NodeMeminfo::default();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            info.shared.unknown_lines += usize::from(info.take(line).is_none());
        }
        info
    }

    fn take(&mut self, line: &[u8]) -> Option<()> {
        let rest = line.strip_prefix(b"Node ")?.trim_ascii_start();
        let end = rest.iter().position(u8::is_ascii_whitespace)?;
        let (node, rest) = rest.split_at(end);
        let node = u32::try_from(lines::number(node)?).ok()?;
        if *self.node.get_or_insert(node) != node {
            return None;
        }
        let (key, value) = lines::key_value(rest.trim_ascii_start())?;
        match key {
            b"MemUsed" => self.used_bytes = Some(lines::kilobytes(value)?),
            b"FilePages" => self.file_pages_bytes = Some(lines::kilobytes(value)?),
            _ => self.shared.take(key, value)?,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_node_is_known() {
        let info = NodeMeminfo::parse(include_bytes!(
            "../../tests/fixtures/linux-6.18/sys/devices/system/node/node0/meminfo"
        ));
        assert_eq!((info.node, info.shared.unknown_lines), (Some(0), 0));
        let total = info.shared.total_bytes.unwrap();
        assert_eq!(
            info.used_bytes,
            total.checked_sub(info.shared.free_bytes.unwrap())
        );
        assert!(info.file_pages_bytes.unwrap() > 0);
        assert_eq!(info.shared.available_bytes, None, "no node has this line");
        assert_eq!(info.shared.huge_pages_total, Some(0));
    }

    #[test]
    fn old_kernels_have_fewer_lines() {
        let info = NodeMeminfo::parse(include_bytes!(
            "../../tests/fixtures/linux-4.4/sys/devices/system/node/node1/meminfo"
        ));
        assert_eq!((info.node, info.shared.unknown_lines), (Some(1), 0));
        assert_eq!(info.shared.kreclaimable_bytes, None, "came with 4.20");
        assert_eq!(info.shared.huge_pages_free, Some(2));
    }

    #[test]
    fn lines_of_another_form_or_node_are_counted() {
        let info = NodeMeminfo::parse(
            b"Node 3 MemTotal: 8 kB\nNode 4 MemFree: 4 kB\nNode 3 News: 1 kB\nNode x MemFree: 1 kB\nMemFree: 1 kB\n",
        );
        assert_eq!((info.node, info.shared.total_bytes), (Some(3), Some(8192)));
        assert_eq!((info.shared.free_bytes, info.shared.unknown_lines), (None, 4));
    }
}
