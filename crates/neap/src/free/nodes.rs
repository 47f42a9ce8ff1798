//! Nodes, zones, and how broken up their free memory is.

use neap_proc::parse::Zone;
use neap_proc::read::Host;
use serde::Serialize;

use super::gather::Gather;

/// The machine's memory by place.
#[derive(Debug, Serialize)]
pub(crate) struct Places {
    pub(crate) nodes: Option<Vec<NodeUse>>,
    pub(crate) zones: Option<Vec<ZoneUse>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct NodeUse {
    pub(crate) number: u32,
    pub(crate) total_bytes: Option<u64>,
    pub(crate) free_bytes: Option<u64>,
    pub(crate) file_bytes: Option<u64>,
    pub(crate) anonymous_bytes: Option<u64>,
    pub(crate) slab_bytes: Option<u64>,
}

/// Free memory of one zone (`/proc/buddyinfo`).
#[derive(Debug, Serialize)]
pub(crate) struct ZoneUse {
    pub(crate) node: u32,
    pub(crate) name: String,
    pub(crate) free_bytes: u64,
    /// The largest free block; 0 when nothing is free.
    pub(crate) largest_free_bytes: u64,
    /// Of the free memory, what lies in blocks as large as a huge page.
    pub(crate) free_huge_bytes: u64,
    /// Free blocks of 2^n pages at place n.
    pub(crate) free_blocks: Vec<u64>,
}

pub(super) fn places(host: &Host, page_bytes: u64, huge_bytes: u64, gather: &mut Gather) -> Places {
    let nodes = gather.take("numa.nodes", host.nodes()).map(|nodes| {
        let each = nodes.into_iter().enumerate().map(|(index, node)| {
            let path = |field: &str| format!("numa.nodes[{index}].{field}");
            let why = node.meminfo.reason();
            let info = node.meminfo.value().unwrap_or_default();
            let shared = &info.shared;
            let mut line = |field: &str, value: Option<u64>| {
                if value.is_none() {
                    gather.miss(&path(field), why.as_deref().unwrap_or("not in this kernel"));
                }
                value
            };
            NodeUse {
                number: node.number,
                total_bytes: line("total_bytes", shared.total_bytes),
                free_bytes: line("free_bytes", shared.free_bytes),
                file_bytes: line("file_bytes", info.file_pages_bytes),
                anonymous_bytes: line("anonymous_bytes", shared.anon_pages_bytes),
                slab_bytes: line("slab_bytes", shared.slab_bytes),
            }
        });
        each.collect()
    });
    let zones = gather.take("numa.zones", host.buddyinfo());
    let order = huge_bytes.checked_div(page_bytes).unwrap_or(1).max(1).ilog2();
    Places {
        nodes,
        zones: zones.map(|info| {
            let each = info.zones.into_iter();
            each.map(|zone| of_zone(zone, page_bytes, order)).collect()
        }),
    }
}

fn of_zone(zone: Zone, page_bytes: u64, huge_order: u32) -> ZoneUse {
    let bytes = |pages: u64| pages.saturating_mul(page_bytes);
    let largest = zone.free_blocks.iter().rposition(|&blocks| blocks > 0);
    let largest_pages = largest
        .and_then(|order| 1_u64.checked_shl(u32::try_from(order).ok()?))
        .unwrap_or(0);
    ZoneUse {
        node: zone.node,
        free_bytes: bytes(zone.free_pages_from(0)),
        largest_free_bytes: bytes(largest_pages),
        free_huge_bytes: bytes(zone.free_pages_from(huge_order)),
        name: zone.name,
        free_blocks: zone.free_blocks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_in_huge_blocks_is_counted_apart() {
        let zone = |free_blocks: &[u64]| Zone {
            node: 1,
            name: "Normal".to_owned(),
            free_blocks: free_blocks.to_vec(),
        };
        let used = of_zone(zone(&[3, 2, 0, 1]), 4096, 2);
        assert_eq!(
            (used.free_bytes, used.largest_free_bytes, used.free_huge_bytes),
            (15 * 4096, 8 * 4096, 8 * 4096)
        );
        assert_eq!(of_zone(zone(&[0, 0]), 4096, 2).largest_free_bytes, 0);
    }
}
