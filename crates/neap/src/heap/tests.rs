//! Live programs under libneap.so, looked at from outside.

use super::live::Live;
use super::*;
use neap_proc::parse::SmapsField;
use neap_proc::read::Proc;

/// Blocks of every kind, some of them freed again, and more than a thread keeps at hand.
const EVERY_KIND: &str = r#"
enum { SMALL = 60000, RUNS = 300, EXTENTS = 6, DIRECTS = 2 };
static char *small[SMALL], *runs[RUNS], *extents[EXTENTS], *directs[DIRECTS];
static void *thread(void *argument) {
    for (int i = 0; i < SMALL; i += 3) { free(small[i]); small[i] = NULL; }
    return argument;
}
static void work(void) {
    for (int i = 0; i < SMALL; i++) memset(small[i] = malloc(16 + i % 3000), 1, 16);
    for (int i = 0; i < RUNS; i++) memset(runs[i] = malloc(9000 + i * 1000), 1, 9000);
    for (int i = 0; i < EXTENTS; i++) memset(extents[i] = malloc((2 + i) << 20), 1, 3 << 19);
    for (int i = 0; i < DIRECTS; i++) memset(directs[i] = malloc(40 << 20), 1, 1 << 20);
    pthread_t other;
    pthread_create(&other, NULL, thread, NULL);
    pthread_join(other, NULL);
    for (int i = 1; i < SMALL; i += 3) { free(small[i]); small[i] = NULL; }
    for (int i = 0; i < RUNS; i += 2) free(runs[i]);
    for (int i = 0; i < EXTENTS; i += 2) free(extents[i]);
    free(directs[0]);
}
"#;

const MODES: [&[(&str, &str)]; 5] = [
    &[],
    &[("NEAP_BACKEND", "brk")],
    &[("NEAP_HELPER", "off")],
    &[("NEAP_CHECK", "1")],
    &[("NEAP_BACKEND", "brk"), ("NEAP_CHECK", "1")],
];

/// The heap of a program that is quiet: the helper ends when it has nothing to do.
fn inside(live: &Live) -> Inside {
    let threads = || Proc::default().status(live.pid()).value().unwrap().threads;
    while threads() != Some(1) {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Inside::find(&Proc::default(), live.pid()).unwrap()
}

#[test]
fn the_survey_agrees_with_the_programs_own_count() {
    for mode in MODES {
        let Some(live) = Live::start(EVERY_KIND, mode) else {
            return;
        };
        let inside = inside(&live);
        assert_eq!(inside.file(), live.library.to_str().unwrap());
        let survey = inside.survey().unwrap();
        assert_eq!(survey.moving, 0, "{mode:?}");
        // Checking mode has no caches, and without a helper a thread with much dirt empties its own.
        let caching = mode.iter().all(|(name, _)| *name == "NEAP_BACKEND");
        // mallinfo2 leaves out what its thread has ready; the other one has ended.
        assert_eq!(
            survey.live_bytes - survey.cached_bytes,
            live.live_bytes,
            "{mode:?}"
        );
        assert_eq!(survey.cached_bytes != 0, caching, "{mode:?}");
        assert_eq!(survey.direct_blocks, live.direct_blocks, "{mode:?}");
        let by_pages: u64 = survey
            .pages
            .iter()
            .map(|run| run.pages * u64::from(run.live_bytes))
            .sum();
        assert_eq!(by_pages, survey.live_bytes, "{mode:?}");
        let counters = inside.counters().unwrap();
        assert_eq!(counters.held_bytes, survey.held_bytes, "{mode:?}");
        assert_eq!(counters.meta_bytes, survey.records_bytes, "{mode:?}");
    }
}

#[test]
fn a_survey_agrees_with_the_board_once_all_is_given_back() {
    let work = format!(
        "{EVERY_KIND}
        static void then(void) __attribute__((destructor));
        static void then(void) {{
            for (int i = 0; i < 3; i++) {{ usleep(20000); malloc_trim(0); }}
            ready();
        }}"
    );
    for mode in MODES {
        let Some(mut live) = Live::start(&work, mode) else {
            return;
        };
        let before = inside(&live).survey().unwrap();
        live.go_on();
        let inside = inside(&live);
        let (survey, counters) = (inside.survey().unwrap(), inside.counters().unwrap());
        assert_eq!(survey.live_bytes, counters.live_bytes, "{mode:?}");
        assert_eq!(survey.live_blocks, counters.live_blocks, "{mode:?}");
        assert_eq!(survey.cached_bytes, 0, "{mode:?}");
        assert_eq!(survey.dirt_bytes, counters.dirty_bytes, "{mode:?}");
        for class in &survey.classes {
            let counted = counters
                .classes
                .iter()
                .find(|[bytes, _]| *bytes == class.block_bytes);
            assert_eq!(counted.unwrap()[1], class.live_blocks, "{mode:?} {class:?}");
        }
        assert!(
            survey.resident_bytes.unwrap() <= before.resident_bytes.unwrap(),
            "{mode:?}"
        );
    }
}

#[test]
fn what_is_resident_is_what_the_kernel_counts_and_looking_changes_nothing() {
    for mode in MODES {
        let Some(live) = Live::start(EVERY_KIND, mode) else {
            return;
        };
        let proc = Proc::default();
        let inside = inside(&live);
        let before = proc.smaps(live.pid()).value().unwrap();
        let (survey, spans) = (inside.survey().unwrap(), inside.spans().unwrap());
        let after = proc.smaps(live.pid()).value().unwrap();
        assert_eq!(
            before.total().get(SmapsField::Rss),
            after.total().get(SmapsField::Rss)
        );
        let of_window = |start: u64| {
            let inside = |span: &&HeapSpan| span.addresses.contains(&start);
            spans
                .iter()
                .find(inside)
                .is_some_and(|span| span.role == Role::Window)
        };
        let entries = after.entries.iter().filter(|entry| of_window(entry.end - 1));
        let kernel: u64 = entries
            .map(|entry| entry.sizes.get(SmapsField::Rss).unwrap())
            .sum();
        let ours = survey
            .pages
            .iter()
            .filter(|run| run.resident == Some(true) && of_window(run.first));
        let ours: u64 = ours.map(|run| run.pages * 4096).sum();
        assert_eq!(ours, kernel, "{mode:?}");
        let spanned: u64 = spans
            .iter()
            .map(|span| span.addresses.end - span.addresses.start)
            .sum();
        let surveyed: u64 = survey.pages.iter().map(|run| run.pages * 4096).sum();
        assert_eq!(spanned, surveyed, "{mode:?}");
        assert!(
            survey
                .pages
                .windows(2)
                .all(|two| two[0].first + two[0].pages * 4096 <= two[1].first)
        );
    }
}

#[test]
fn who_has_no_heap_of_neaps_says_so() {
    let proc = Proc::default();
    assert_eq!(
        Inside::find(&proc, std::process::id()).unwrap_err(),
        Why::NotThere
    );
    assert_eq!(Inside::find(&proc, u32::MAX).unwrap_err(), Why::Gone);
    // A kernel thread.
    if proc.stat(2).value().is_some_and(|stat| stat.comm == "kthreadd") {
        assert_eq!(Inside::find(&proc, 2).unwrap_err(), Why::NotThere);
    }
}

/// A process whose memory says anything, but for the few words that lead a reader on.
struct Hostile {
    bytes: Vec<u8>,
    sure: std::collections::HashMap<u64, u8>,
    told: bool,
}

const ANCHOR: u64 = 0x1000;
const HEAP: u64 = 0x10_0000;
const PLACES: u64 = 0x2000;

impl Hostile {
    fn new(bytes: Vec<u8>, told: bool, chunks: u64, checked: u64, records: u64) -> Hostile {
        use neap_abi::anatomy::{FIELDS, Field};
        let mut hostile = Hostile {
            bytes,
            sure: std::collections::HashMap::new(),
            told,
        };
        for (n, word) in [HEAP, PLACES, 0x5000, 0x5100].into_iter().enumerate() {
            hostile.put(ANCHOR + n as u64 * 8, word, 8);
        }
        for n in 0..FIELDS as u64 {
            hostile.put(PLACES + n * 4, n * 0x10_0000, 4);
        }
        for (field, word, bytes) in [
            (Field::WindowBase, 1 << 40, 8),
            (Field::WindowLimit, chunks * neap_abi::anatomy::CHUNK, 8),
            (Field::WindowMeta, 1 << 42, 8),
            (Field::WindowTop, chunks, 4),
            (Field::Checked, checked, 4),
            (Field::Records, records, 8),
        ] {
            hostile.put(HEAP + field as u64 * 0x10_0000, word, bytes);
        }
        hostile
    }

    fn put(&mut self, address: u64, word: u64, bytes: usize) {
        for (at, byte) in (address..).zip(word.to_ne_bytes()).take(bytes) {
            self.sure.insert(at, byte);
        }
    }
}

impl memory::Memory for Hostile {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        for (n, byte) in into.iter_mut().enumerate() {
            let at = address.wrapping_add(n as u64);
            let any = self.bytes[(at.wrapping_mul(31) ^ at >> 9) as usize % self.bytes.len()];
            // Nothing is sure about records and blocks, which lie far above.
            let sure = if at < 1 << 30 {
                self.sure.get(&at).copied()
            } else {
                None
            };
            *byte = sure.unwrap_or(any);
        }
        // Some of it cannot be read.
        !address.is_multiple_of(7919)
    }

    fn most_bytes(&self) -> u64 {
        8 << 20
    }

    fn presence(&self, addresses: std::ops::Range<u64>) -> Option<memory::Presence> {
        let mut presence = memory::Presence::of(&addresses);
        for page in (addresses.start..addresses.end).step_by(4096) {
            let state = match self.bytes[(page / 4096) as usize % self.bytes.len()] % 3 {
                0 => memory::State::None,
                1 => memory::State::Resident,
                _ => memory::State::Swapped,
            };
            presence.set(page, 4096, state);
        }
        self.told.then_some(presence)
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(6))]
    #[test]
    fn whatever_the_memory_says_the_answer_comes(
        bytes in proptest::collection::vec(0_u8..6, 300..3000),
        wild in proptest::collection::vec(proptest::prelude::any::<u8>(), 200..400),
        choice in 0_u8..8,
        chunks in 0_u64..6,
        records in proptest::prelude::any::<u64>(),
    ) {
        let bytes = if choice & 1 == 0 { bytes } else { wild };
        let memory = Hostile::new(bytes, choice & 2 == 0, chunks, u64::from(choice & 4), records);
        let layout = layout::Layout::read(&memory, ANCHOR).unwrap();
        let survey = survey::survey(&memory, &layout);
        proptest::prop_assert!(survey.pages.iter().all(|run| run.live_bytes <= 4096));
        proptest::prop_assert!(survey.held_bytes <= chunks * neap_abi::anatomy::CHUNK + (128 << 20));
        let _ = spans::spans(&memory, &layout);
    }
}
