//! Random actions against the oracle, over both backends, with and without checking mode.

use super::action::Action;
use super::oracle::{Setup, play};
use crate::options::Setting;
use neap_abi::Backend;
use proptest::collection::vec as list;
use proptest::prelude::*;
use std::vec;

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        30 => 0usize..300,
        20 => 0usize..1100,
        15 => 1000usize..8300,
        15 => 8000usize..80_000,
        8 => 80_000usize..1_100_000,
        5 => 1_000_000usize..7_000_000,
        1 => prop_oneof![Just(usize::MAX), Just(usize::MAX - 4095), Just(isize::MAX as usize), Just(1 << 46)],
        // On either side of every border.
        6 => (prop_oneof![Just(1024usize), Just(4096), Just(8192), Just(65_536), Just(131_072), Just(1 << 20), Just(1 << 21), Just(4 << 20)], -20isize..20)
            .prop_map(|(border, by)| border.saturating_add_signed(by)),
    ]
}

fn setting() -> impl Strategy<Value = Action> {
    prop_oneof![
        prop_oneof![Just(10_000usize), Just(200_000), Just(1 << 20), Just(usize::MAX)]
            .prop_map(|n| Action::SetOption(Setting::MmapThreshold, n)),
        (0usize..5).prop_map(|n| Action::SetOption(Setting::MmapMax, n)),
        prop_oneof![Just(0usize), Just(1), Just(3 << 20)].prop_map(|n| Action::SetOption(Setting::TopPad, n)),
        prop_oneof![Just(0usize), Just(1 << 20)].prop_map(|n| Action::SetOption(Setting::TrimThreshold, n)),
        prop_oneof![Just(0usize), Just(0x5a)].prop_map(|n| Action::SetOption(Setting::Perturb, n)),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let thread = 0usize..6;
    let nth = any::<usize>();
    prop_oneof![
        12 => (thread.clone(), size()).prop_map(|(thread, size)| Action::Allocate { thread, size }),
        5 => (thread.clone(), size()).prop_map(|(thread, size)| Action::Zeroed { thread, size }),
        5 => (thread.clone(), size(), 0u32..24).prop_map(|(thread, size, shift)| Action::Aligned { thread, size, shift }),
        8 => (thread.clone(), nth, size()).prop_map(|(thread, nth, size)| Action::Resize { thread, nth, size }),
        8 => nth.prop_map(|nth| Action::Free { nth }),
        8 => (thread.clone(), nth).prop_map(|(thread, nth)| Action::FreeOnOtherThread { thread, nth }),
        6 => (thread.clone(), 0usize..9000, 1usize..80).prop_map(|(thread, size, count)| Action::Burst { thread, size, count }),
        // Whole slabs, so that they fill, empty and change hands.
        4 => (thread.clone(), 900usize..8192, 20usize..90).prop_map(|(thread, size, count)| Action::Burst { thread, size, count }),
        6 => (thread.clone(), 1usize..5).prop_map(|(thread, step)| Action::FreeEvery { thread, step }),
        1 => (thread.clone(), size()).prop_map(|(thread, size)| Action::AllocateInHandler { thread, size }),
        1 => (thread.clone(), nth).prop_map(|(thread, nth)| Action::FreeInHandler { thread, nth }),
        2 => Just(Action::NewThread),
        2 => thread.clone().prop_map(|thread| Action::EndThread { thread }),
        1 => thread.clone().prop_map(|thread| Action::LoseThread { thread }),
        6 => (1usize..4).prop_map(Action::Tick),
        2 => thread.prop_map(|thread| Action::Trim { thread }),
        2 => setting(),
    ]
}

/// What may happen in the middle of a tick.
fn meek_action() -> impl Strategy<Value = Action> {
    action().prop_filter("waits for the tide", Action::is_meek)
}

fn rough_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => action(),
        1 => (1u64..12).prop_map(Action::FailNext),
        1 => (1usize..3_000_000).prop_map(Action::ForeignSbrk),
        1 => (0usize..6).prop_map(|thread| Action::Fork { thread }),
    ]
}

const MMAP: Setup = Setup {
    backend: Backend::Mmap,
    check: false,
};
const BRK: Setup = Setup {
    backend: Backend::Brk,
    check: false,
};

/// `PROPTEST_CASES` asks for more than a quick look.
fn config() -> ProptestConfig {
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() {
        ProptestConfig::default().cases
    } else {
        32
    };
    ProptestConfig {
        cases,
        max_shrink_iters: 4000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_heap_of_mappings_keeps_every_promise(actions in list(action(), 1..150)) {
        play(MMAP, &actions, vec![]);
    }

    #[test]
    fn a_heap_of_the_break_keeps_every_promise(actions in list(action(), 1..150)) {
        play(BRK, &actions, vec![]);
    }

    #[test]
    fn a_refusing_kernel_and_a_foreign_break_cost_memory_but_no_promise(brk in any::<bool>(), actions in list(rough_action(), 1..150)) {
        play(if brk { BRK } else { MMAP }, &actions, vec![]);
    }

    #[test]
    fn what_others_do_while_the_tide_turns_is_safe(
        actions in list(prop_oneof![2 => action(), 1 => (1usize..4).prop_map(Action::Tick)], 1..150),
        meanwhile in list(list(meek_action(), 0..4), 0..100),
    ) {
        play(MMAP, &actions, meanwhile);
    }

    #[test]
    fn checking_mode_keeps_every_promise(brk in any::<bool>(), actions in list(rough_action(), 1..100)) {
        let backend = if brk { Backend::Brk } else { Backend::Mmap };
        play(Setup { backend, check: true }, &actions, vec![]);
    }
}
