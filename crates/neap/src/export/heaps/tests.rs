use super::*;
use neap_abi::{MAGIC, PAGE_BYTES, VERSION};
use neap_proc::model::Processes;

/// A page as libneap.so writes it, with a different number in each counter.
fn page(live_blocks: u64) -> Snapshot {
    let mut words = [0_u64; PAGE_BYTES / 8];
    for (index, word) in words.iter_mut().enumerate() {
        *word = 1000 + u64::try_from(index).unwrap();
    }
    for (at, value) in [
        (0, MAGIC),
        (1, VERSION),
        (4, 1),
        (5, 0),
        (7, live_blocks),
        (18, 1),
    ] {
        words[at] = value;
    }
    // The second class does not exist, the third has no blocks.
    (words[44], words[47]) = (0, 0);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    Snapshot::parse(&bytes).unwrap()
}

#[test]
fn each_counter_comes_from_its_own_word() {
    let heap = heap(&page(7), Classes::Shown);
    assert_eq!(heap.backend, "brk");
    let wanted = [
        ("live_bytes", 1006),
        ("live_blocks", 7),
        ("held_bytes", 1008),
        ("dirty_bytes", 1009),
        ("meta_bytes", 1010),
        ("threads", 1011),
        ("live_peak_bytes", 1012),
        ("held_peak_bytes", 1013),
        ("large_blocks", 1020),
        ("large_bytes", 1021),
        ("direct_blocks", 1022),
        ("direct_bytes", 1023),
        ("given_back_bytes", 1015),
        ("regret_bytes", 1019),
        ("purges", 1016),
        ("helper_starts", 1017),
        ("helpers", 1),
    ];
    let found: Vec<_> = heap
        .counters
        .each()
        .map(|(name, figure)| (name, figure.value().unwrap()))
        .collect();
    assert_eq!(found, wanted);
    let madvise = &heap.memory_calls[4];
    assert_eq!(
        (madvise.name, madvise.calls, madvise.bytes, madvise.failed),
        ("madvise", 1036, 1037, 1038)
    );
    let classes: Vec<_> = heap
        .classes
        .iter()
        .map(|class| (class.block_bytes, class.live_blocks))
        .collect();
    assert_eq!((classes[0], classes[1]), ((1042, 1043), (1048, 1049)));
    assert_eq!(classes.len(), neap_abi::CLASSES - 2);
}

#[test]
fn what_was_never_counted_is_missing_and_not_zero() {
    let heap = heap(&page(0), Classes::Hidden);
    for (name, figure) in heap.counters.each() {
        let counted_by_a_walk = ["live", "dirty", "large", "direct"]
            .iter()
            .any(|start| name.starts_with(start));
        assert_eq!(figure.value().is_none(), counted_by_a_walk, "{name}");
    }
    assert!(heap.classes.is_empty());
}

/// A process of a recorded machine; its mappings are looked up when they are not known any more.
#[test]
fn an_answer_is_kept_for_longer_and_longer_until_the_program_changes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |file: &str| folder.path().join("7").join(file);
    std::fs::create_dir(folder.path().join("7")).unwrap();
    let be = |name: &str| {
        let row = format!("7 ({name}) S 1 1 1 0 0 0 1 0 0 0 1 1 0 0 20 0 1 0 5 4096 1\n");
        std::fs::write(at("stat"), row).unwrap();
    };
    be("a");
    std::fs::write(at("statm"), "2 1 0 1 0 1 0\n").unwrap();
    std::fs::write(at("status"), "Name:\ta\n").unwrap();
    std::fs::write(at("cmdline"), "a\0").unwrap();
    std::fs::write(at("maps"), "1000-2000 rw-p 00000000 00:00 0\n").unwrap();
    let proc = Proc::recorded(folder.path(), 4096);
    let row = || Processes::new(proc.clone()).read_of(&[7]).rows.remove(0);
    let mut reader = HeapReader::new(Classes::Hidden);
    let start = Instant::now();
    let mut ask = |row: &Row, seconds: u64| reader.find(&proc, row, start + Duration::from_secs(seconds));
    assert_eq!(ask(&row(), 0), Err(NoHeap::NotThere));
    std::fs::remove_file(at("maps")).unwrap();
    assert_eq!(
        ask(&row(), 0),
        Err(NoHeap::NotThere),
        "within a second it is not asked again"
    );
    let unreadable = |answer: Result<(), NoHeap>| matches!(answer, Err(NoHeap::Unreadable("failed", _)));
    assert!(unreadable(ask(&row(), 1)));
    std::fs::write(at("maps"), "1000-2000 rw-p 00000000 00:00 0\n").unwrap();
    assert!(
        unreadable(ask(&row(), 2)),
        "the second answer is kept for two seconds"
    );
    assert_eq!(ask(&row(), 3), Err(NoHeap::NotThere));
    std::fs::remove_file(at("maps")).unwrap();
    be("b");
    assert!(unreadable(ask(&row(), 3)), "another program is looked at at once");
}
