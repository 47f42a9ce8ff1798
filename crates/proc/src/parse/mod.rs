//! Bytes in, values out. Opens nothing and never panics; a line it does not know is counted.
//!
//! Sizes come out in bytes. A file that is one fixed row (`statm`, `stat`) is malformed when the row
//! is; a file of named lines (`status`, `smaps_rollup`) never is: each of its fields is an `Option`.

mod boot;
mod buddyinfo;
mod cgroup;
mod children;
mod choice;
mod counters;
mod limits;
mod lines;
mod maps;
mod meminfo;
mod node_meminfo;
mod numa_maps;
mod page_flags;
mod pagemap;
mod pressure;
mod smaps;
mod smaps_field;
mod smaps_rollup;
mod stat;
mod statm;
mod status;
mod swap;
mod vm_flags;

pub use boot::{boot_time_seconds, uptime_ns};
pub use buddyinfo::{BuddyInfo, Zone};
pub use cgroup::{GroupVersion, Groups, MemoryGroup};
pub use children::children;
pub use choice::Choice;
pub use counters::Counters;
pub use limits::{Bound, Limit, Limits};
pub use maps::{Mapping, Maps, Name, Permissions};
pub use meminfo::Meminfo;
pub use node_meminfo::NodeMeminfo;
pub use numa_maps::{NumaMapping, NumaMaps};
pub use page_flags::PageFlags;
pub use pagemap::{Frame, PageCounts, SwapSlot, Word, pagemap_words, swap_slot};
pub use pressure::{Pressure, Stalled};
pub use smaps::{NameId, Smaps, SmapsEntry, SmapsText};
pub use smaps_field::{Sizes, SmapsField};
pub use smaps_rollup::SmapsRollup;
pub use stat::{Stat, State};
pub use statm::Statm;
pub use status::Status;
pub use swap::{SwapArea, Swaps, ZramMemory};
pub use vm_flags::{VmFlag, VmFlags};

/// A row has another form than the manual's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The field that could not be read, by its name in proc(5).
    pub field: &'static str,
}

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "the field {} is missing or no number", self.field)
    }
}

impl core::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes that look enough like `/proc` to reach deep into a parser.
    fn proc_like() -> impl Strategy<Value = Vec<u8>> {
        let words = prop_oneof![
            Just(b" ".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"(a) b)".to_vec()),
            Just(b"VmRSS:\t".to_vec()),
            Just(b"NSpid:\t1\t2".to_vec()),
            Just(b"Pss: 18446744073709551615 kB".to_vec()),
            Just(b"7f00-7f01 rw-p 0 08:01 12 /x (deleted)".to_vec()),
            Just(b"\n1000-2000 r--p 0 00:00 0 \n".to_vec()),
            Just(b"\nVmFlags: rd zz\nSize: 4 kB\n".to_vec()),
            Just(b"\n7f00 default file=a\\040b N0=1 ".to_vec()),
            Just(b"\nNode 0, zone x ".to_vec()),
            Just(b"\nsome avg10=1.00 avg60=1.0 avg300= total=".to_vec()),
            Just(b"\n/swap file ".to_vec()),
            Just(b"-".to_vec()),
            any::<u64>().prop_map(|n| n.to_string().into_bytes()),
            proptest::collection::vec(any::<u8>(), 0..8),
        ];
        proptest::collection::vec(words, 0..40).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_parser_panic(bytes in proc_like(), page_bytes in any::<u64>()) {
            let _ = Statm::parse(&bytes, page_bytes);
            let _ = Stat::parse(&bytes);
            let _ = Status::parse(&bytes);
            let _ = SmapsRollup::parse(&bytes);
            let _ = Maps::parse(&bytes);
            let _ = children(&bytes);
            let _ = Limits::parse(&bytes);
            let _ = Groups::parse(&bytes);
            let _ = NodeMeminfo::parse(&bytes);
            let _ = Smaps::parse(&bytes).total();
            let _ = Meminfo::parse(&bytes).used_bytes();
            let _ = Counters::parse(&bytes);
            let _ = Pressure::parse(&bytes);
            let _ = (uptime_ns(&bytes), boot_time_seconds(&bytes));
            let _ = Swaps::parse(&bytes);
            let _ = ZramMemory::parse(&bytes);
            let _ = Choice::parse(&bytes);
            let _ = NumaMaps::parse(&bytes);
            let _ = BuddyInfo::parse(&bytes).free_pages_from(1);
            let _ = PageFlags::parse(&bytes).map(|flags| flags.names().count()).sum::<usize>();
            let _: PageCounts = pagemap_words(&bytes).inspect(|word| _ = swap_slot(*word)).collect();
        }

        #[test]
        fn smaps_in_pieces_is_smaps(bytes in proc_like(), size in 1_usize..40) {
            let mut text = SmapsText::default();
            bytes.chunks(size).for_each(|piece| text.feed(piece));
            prop_assert_eq!(text.finish(), Smaps::parse(&bytes));
        }

        #[test]
        fn a_mapping_never_ends_before_it_starts(bytes in proc_like()) {
            for mapping in Maps::parse(&bytes).mappings {
                prop_assert!(mapping.start < mapping.end);
            }
        }
    }
}
