//! Recorded machines of several kernels: their files agree with each other, and hold nothing unknown.

use neap_proc::parse::{Name, SmapsField};
use neap_proc::read::{Host, Proc};

/// Kernel and process.
const PROCESSES: [(&str, u32); 4] = [
    ("linux-6.18", 4712),
    ("linux-6.1", 900),
    ("linux-5.10", 900),
    ("linux-4.4", 900),
];

fn root(kernel: &str) -> String {
    format!("{}/tests/fixtures/{kernel}", env!("CARGO_MANIFEST_DIR"))
}

fn proc(kernel: &str) -> Proc {
    Proc::recorded(format!("{}/proc", root(kernel)), 4096)
}

#[test]
fn maps_has_the_mappings_of_smaps() {
    for (kernel, pid) in &PROCESSES[..3] {
        let (maps, smaps) = (proc(kernel).maps(*pid), proc(kernel).smaps(*pid));
        let (maps, smaps) = (maps.value().unwrap(), smaps.value().unwrap());
        assert_eq!((maps.unknown_lines, smaps.unknown_lines), (0, 0), "{kernel}");
        assert_eq!(maps.mappings.len(), smaps.entries.len(), "{kernel}");
        for (mapping, entry) in maps.mappings.iter().zip(&smaps.entries) {
            assert_eq!((mapping.start, mapping.end), (entry.start, entry.end), "{kernel}");
            assert_eq!(&mapping.name, smaps.name(entry.name), "{kernel}");
            assert_eq!(mapping.shared, entry.permissions.shared, "{kernel}");
            let size = entry.sizes.get(SmapsField::Size);
            assert_eq!(size, Some(mapping.len_bytes()), "{kernel}");
        }
    }
}

#[test]
fn a_rollup_has_the_sums_of_its_smaps() {
    for (kernel, pid) in [("linux-6.18", 4712), ("linux-5.10", 900)] {
        let rollup = proc(kernel).smaps_rollup(pid).value().unwrap();
        let total = proc(kernel).smaps(pid).value().unwrap().total();
        assert_eq!(rollup.unknown_lines, 0, "{kernel}");
        for (key, bytes) in rollup.sizes() {
            let sum = total.get(SmapsField::from_key(key.as_bytes()).unwrap());
            match key {
                "Pss_Anon" | "Pss_File" | "Pss_Shmem" => assert_eq!(sum, None, "{kernel}: {key}"),
                // smaps cuts the shares of each mapping to kilobytes.
                "Pss" | "Pss_Dirty" | "SwapPss" | "Locked" => {
                    assert!(sum.unwrap() <= bytes, "{kernel}: {key}")
                }
                _ => assert_eq!(sum, Some(bytes), "{kernel}: {key}"),
            }
        }
        let split = [
            rollup.pss_anon_bytes,
            rollup.pss_file_bytes,
            rollup.pss_shmem_bytes,
        ];
        assert_eq!(
            split.into_iter().flatten().sum::<u64>(),
            rollup.pss_bytes.unwrap()
        );
    }
}

#[test]
fn status_has_what_its_kernel_writes() {
    for (kernel, pid) in PROCESSES {
        let status = proc(kernel).status(pid).value().unwrap();
        assert_eq!(
            (status.pid, status.pid_inside),
            (Some(pid), Some(pid)),
            "{kernel}"
        );
        assert!(status.resident_peak_bytes >= status.resident_bytes, "{kernel}");
        let parts = [
            status.resident_anon_bytes,
            status.resident_file_bytes,
            status.resident_shmem_bytes,
        ];
        if kernel == "linux-4.4" {
            assert_eq!(parts, [None; 3], "came with 4.5");
            assert_eq!(status.no_new_privileges, None, "came with 4.10");
            assert_eq!(
                (status.name.as_deref(), status.swap_bytes),
                (Some("old daemon"), Some(4096))
            );
        } else {
            let sum = parts.into_iter().flatten().sum::<u64>();
            assert_eq!(Some(sum), status.resident_bytes, "{kernel}");
            assert!(status.no_new_privileges.is_some(), "{kernel}");
        }
    }
}

#[test]
fn one_process_has_the_same_figures_in_all_its_files() {
    let proc = proc("linux-6.18");
    let (statm, stat) = (
        proc.statm(4712).value().unwrap(),
        proc.stat(4712).value().unwrap(),
    );
    let status = proc.status(4712).value().unwrap();
    assert_eq!(statm.size_bytes, stat.size_bytes);
    assert_eq!(Some(statm.size_bytes), status.size_bytes);
    assert_eq!(Some(statm.resident_bytes), status.resident_bytes);
    assert_eq!(proc.command_line(4712).value().unwrap(), ["sleep", "600"]);
    let limits = proc.limits(4712).value().unwrap();
    assert!(limits.address_space.is_some() && limits.open_files.is_some());
    let (numa, maps) = (
        proc.numa_maps(4712).value().unwrap(),
        proc.maps(4712).value().unwrap(),
    );
    assert_eq!(numa.unknown_lines, 0);
    let is_mapped = |start| maps.mappings.iter().any(|map| map.start == start);
    assert!(numa.mappings.iter().all(|mapping| is_mapped(mapping.start)));
    let stack = Name::Special("[stack]".to_owned());
    assert!(maps.mappings.iter().any(|map| map.name == stack));
}

#[test]
fn meminfo_of_every_kernel_is_known() {
    for (kernel, sizes) in [
        ("linux-6.18", 50),
        ("linux-6.1", 50),
        ("linux-5.10", 47),
        ("linux-4.4", 27),
    ] {
        let info = Host::recorded(root(kernel)).meminfo().value().unwrap();
        assert_eq!((info.unknown_lines, info.sizes().count()), (0, sizes), "{kernel}");
        assert!(
            info.used_bytes().is_some() && info.cache_bytes().is_some(),
            "{kernel}"
        );
    }
}
