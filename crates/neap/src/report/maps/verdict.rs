//! One sentence: what holds most of a process's memory.

use neap_proc::model::Kind;
use neap_proc::parse::SmapsField;

use crate::maps::groups::KindGroup;
use crate::maps::sums::Sums;
use crate::unit;

/// Swap below this share of what is resident is not worth a word.
const SWAP_SHARE: u64 = 20;

pub(super) fn sentence(kinds: &[KindGroup], total: &Sums) -> String {
    let Some(rss) = total.rss_bytes.value() else {
        return "How much is resident is not known: this kernel does not write Rss.".to_owned();
    };
    if rss == 0 {
        return "Nothing of it is resident.".to_owned();
    }
    let of = |total: &neap_proc::model::Total| total.sizes.get(SmapsField::Rss).unwrap_or(0);
    let Some(most) = kinds.iter().max_by_key(|of_kind| of(&of_kind.total)) else {
        return "It has no mappings.".to_owned();
    };
    let bytes = of(&most.total);
    let share = unit::percent(unit::to_f64(bytes) / unit::to_f64(rss));
    let mut text = format!(
        "{} of {} resident ({share}) {} {}",
        unit::size(bytes),
        unit::size(rss),
        if most.kind == Kind::Library {
            "are of"
        } else {
            "are"
        },
        phrase(most.kind)
    );
    let greatest = most.groups.iter().max_by_key(|group| of(&group.total));
    if let Some(greatest) = greatest.filter(|_| most.groups.len() > 1 && most.kind != Kind::Neap) {
        let name = greatest.name.rsplit('/').next().unwrap_or(&greatest.name);
        text += &format!(", {} of them {name}", unit::size(of(&greatest.total)));
    }
    if let Some(swap) = total.swap_bytes.value().filter(|swap| *swap > rss / SWAP_SHARE) {
        text += &format!("; {} more are in swap", unit::size(swap));
    }
    text + "."
}

const fn phrase(kind: Kind) -> &'static str {
    match kind {
        Kind::Program => "the program's file",
        Kind::Heap => "the program break, where malloc may begin",
        Kind::Neap => "the heap of libneap.so",
        Kind::Library => "libraries",
        Kind::File => "mapped files",
        Kind::Anonymous => "anonymous memory",
        Kind::Shared => "shared memory",
        Kind::Stack => "stacks",
        Kind::Kernel => "the kernel's own pages",
        Kind::Device => "memory of devices",
    }
}
