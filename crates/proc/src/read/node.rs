//! The nodes of a machine whose memory is in several places: `/sys/devices/system/node`.

use super::Host;
use crate::Reading;
use crate::parse::{Counters, NodeMeminfo};

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub number: u32,
    /// `meminfo`.
    pub meminfo: Reading<NodeMeminfo>,
    /// `numastat`: events since the machine started. `numa_hit`: pages that were wanted here and given here;
    /// `numa_miss`: given here and wanted elsewhere; `numa_foreign`: wanted here and given elsewhere;
    /// `local_node`, `other_node`: given to a process that ran here, elsewhere.
    pub numastat: Reading<Counters>,
}

impl Host {
    /// Every node, by number. Absent in a kernel without CONFIG_NUMA.
    pub fn nodes(&self) -> Reading<Vec<Node>> {
        const FOLDER: &str = "/sys/devices/system/node";
        self.folder(FOLDER).map(|names| {
            let number = |name: &String| name.strip_prefix("node")?.parse::<u32>().ok();
            let mut numbers: Vec<u32> = names.iter().filter_map(number).collect();
            numbers.sort_unstable();
            let node = |number| Node {
                number,
                meminfo: self
                    .bytes(&format!("{FOLDER}/node{number}/meminfo"))
                    .map(|bytes| NodeMeminfo::parse(&bytes)),
                numastat: self.counters(&format!("{FOLDER}/node{number}/numastat")),
            };
            numbers.into_iter().map(node).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    fn recorded(kernel: &str) -> Reading<Vec<Node>> {
        Host::recorded(format!("{}/tests/fixtures/{kernel}", env!("CARGO_MANIFEST_DIR"))).nodes()
    }

    #[test]
    fn nodes_have_their_memory_and_their_events() {
        let nodes = recorded("linux-6.18").value().unwrap();
        assert_eq!(nodes.len(), 1);
        assert_eq!(nodes[0].meminfo.as_value().unwrap().node, Some(0));
        let events = nodes[0].numastat.as_value().unwrap();
        assert_eq!((events.get("numa_miss"), events.unknown_lines), (Some(0), 0));
    }

    #[test]
    fn what_a_node_does_not_have_is_absent() {
        let nodes = recorded("linux-4.4").value().unwrap();
        assert_eq!(nodes[0].number, 1);
        assert!(nodes[0].meminfo.as_value().is_some());
        assert_eq!(nodes[0].numastat, Reading::Absent(Reason::NotInThisKernel));
    }

    #[test]
    fn the_nodes_of_this_machine_share_its_memory() {
        let Some(nodes) = Host::default().nodes().value() else {
            return crate::skip::skip("this kernel has no nodes");
        };
        let total = |node: &Node| node.meminfo.as_value()?.shared.total_bytes;
        let sum: u64 = nodes.iter().filter_map(total).sum();
        assert_eq!(
            sum,
            Host::default().meminfo().value().unwrap().total_bytes.unwrap()
        );
    }
}
