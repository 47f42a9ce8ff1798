//! Recorded machines, and this one as far as any machine is alike.

use super::*;

fn recorded(kernel: &str) -> Host {
    Host::recorded(format!("{}/tests/fixtures/{kernel}", env!("CARGO_MANIFEST_DIR")))
}

#[test]
fn a_machine_with_groups_of_version_1_is_read() {
    let host = recorded("linux-6.18");
    assert_eq!(host.meminfo().value().unwrap().unknown_lines, 0);
    assert_eq!(host.vmstat().value().unwrap().get("oom_kill"), Some(6));
    assert!(host.pressure().value().unwrap().full.is_some());
    let ksm = host.ksm().value().unwrap();
    assert_eq!(
        (ksm.full_scans, ksm.profit_bytes),
        (Reading::Value(31), Reading::Value(0))
    );
    let group = host.group_use().value().unwrap();
    assert_eq!(group.stat.value().unwrap().get("total_shmem"), Some(9_068_544));
    assert_eq!(group.events.value().unwrap().get("oom_kill"), Some(0));
    assert_eq!(group.pressure, Reading::Absent(Reason::NotInThisKernel));
    let flags = host.page_flags(60, 8).value().unwrap();
    assert_eq!(flags.len(), 4, "the recorded piece ends after 64 frames");
    let names: Vec<Vec<&str>> = flags.iter().map(|flags| flags.names().collect()).collect();
    assert_eq!(names[0], ["REFERENCED", "UPTODATE", "LRU", "ACTIVE"]);
    assert_eq!(names[3], ["UPTODATE", "LRU"]);
    assert!(names[1].is_empty() && flags[1].unknown_bits() == 0);
}

#[test]
fn huge_pages_have_settings_counters_and_pools() {
    let host = recorded("linux-6.18");
    let settings = host.huge_page_settings().value().unwrap();
    assert_eq!(settings.enabled.value().unwrap().chosen, "madvise");
    assert_eq!(settings.size_bytes, Reading::Value(2 << 20));
    let sizes = settings.sizes.value().unwrap();
    assert_eq!(
        sizes.iter().map(|size| size.bytes).collect::<Vec<_>>(),
        [64 << 10, 2 << 20]
    );
    let counters = sizes[0].counters.as_value().unwrap();
    assert!(counters.get("split").is_some() && counters.unknown_lines == 0);
    let pools = host.huge_pools().value().unwrap();
    assert_eq!(pools[0].page_bytes, 2 << 20);
    assert_eq!(pools[0].free, Reading::Value(0));
}

#[test]
fn a_machine_with_groups_of_version_2_and_swap_is_read() {
    let host = recorded("linux-6.1");
    let group = host.group_use().value().unwrap();
    assert_eq!(group.stat.value().unwrap().get("anon_thp"), Some(2 << 20));
    assert_eq!(group.events.value().unwrap().get("max"), Some(7));
    assert_eq!(group.pressure.value().unwrap().some.unwrap().last_10_seconds, 153);
    assert_eq!(
        (group.peak_bytes, group.swap_bytes),
        (Reading::Value(20 << 20), Reading::Value(4096))
    );
    assert_eq!(host.swaps().value().unwrap().areas.len(), 2);
    let zram = host.zram().value().unwrap();
    assert_eq!(zram[0].disk_bytes, Reading::Value(1 << 30));
    assert_eq!(zram[0].memory.as_value().unwrap().used_peak_bytes, 40_894_464);
    assert_eq!(
        host.ksm(),
        Reading::Absent(Reason::NotInThisKernel),
        "not recorded"
    );
    let older = recorded("linux-5.10").huge_pools();
    assert_eq!(older, Reading::Absent(Reason::NotInThisKernel));
}

#[test]
fn this_machine_has_memory() {
    let info = Host::default().meminfo().value().unwrap();
    assert!(info.used_bytes().unwrap() < info.total_bytes.unwrap());
    assert!(Host::default().vmstat().value().unwrap().get("pgfault").unwrap() > 0);
}
