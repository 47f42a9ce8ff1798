//! Every source, read as nobody may read it, as nobody has it, and full of rubbish: a reason each time.
//!
//! Denial is real, for root, too: the thread that reads has given up its capabilities, and the copies are
//! files of mode 000. Capabilities are a thread's own, so the other tests keep theirs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Host, Proc, Resource};
use crate::{Reading, Reason};

/// A file of one process, and its reader.
type ProcessSource = (&'static str, fn(&Proc, u32) -> Reading<()>);

const PROCESS: [ProcessSource; 11] = [
    ("maps", |proc, pid| proc.maps(pid).map(drop)),
    ("smaps", |proc, pid| proc.smaps(pid).map(drop)),
    ("smaps_rollup", |proc, pid| proc.smaps_rollup(pid).map(drop)),
    ("statm", |proc, pid| proc.statm(pid).map(drop)),
    ("stat", |proc, pid| proc.stat(pid).map(drop)),
    ("status", |proc, pid| proc.status(pid).map(drop)),
    ("limits", |proc, pid| proc.limits(pid).map(drop)),
    ("numa_maps", |proc, pid| proc.numa_maps(pid).map(drop)),
    ("pagemap", |proc, pid| {
        proc.pagemap(pid, 0..4096, |_, _| ()).map(drop)
    }),
    ("task/", |proc, pid| proc.children(pid).map(drop)),
    ("cmdline", |proc, pid| proc.command_line(pid).map(drop)),
];

/// A file or folder of the machine, and its reader.
type HostSource = (&'static str, fn(&Host) -> Reading<()>);

const HOST: [HostSource; 18] = [
    ("proc/meminfo", |host| host.meminfo().map(drop)),
    ("proc/vmstat", |host| host.vmstat().map(drop)),
    ("proc/pressure/memory", |host| host.pressure().map(drop)),
    ("proc/pressure/cpu", |host| {
        host.pressure_of(Resource::Cpu).map(drop)
    }),
    ("proc/pressure/io", |host| {
        host.pressure_of(Resource::Io).map(drop)
    }),
    ("proc/uptime", |host| host.uptime_ns().map(drop)),
    ("proc/stat", |host| host.boot_time_seconds().map(drop)),
    ("proc/self/cgroup", |host| host.groups().map(drop)),
    ("proc/swaps", |host| host.swaps().map(drop)),
    ("proc/buddyinfo", |host| host.buddyinfo().map(drop)),
    ("proc/kpageflags", |host| host.page_flags(0, 4).map(drop)),
    ("proc/self/cgroup", |host| host.memory_group().map(drop)),
    ("proc/self/cgroup", |host| host.group_use().map(drop)),
    ("sys/kernel/mm/ksm/", |host| host.ksm().map(drop)),
    ("sys/kernel/mm/transparent_hugepage/", |host| {
        host.huge_page_settings().map(drop)
    }),
    ("sys/kernel/mm/hugepages/", |host| host.huge_pools().map(drop)),
    ("sys/block/", |host| host.zram().map(drop)),
    ("sys/devices/system/node/", |host| host.nodes().map(drop)),
];

/// A folder of this test alone.
struct Copy(PathBuf);

impl Copy {
    fn new() -> Copy {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("neap-sources-{}-{count}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        Copy(root)
    }

    /// Makes a file with that text, or a folder if the path ends in `/`.
    fn with(&self, path: &str, text: &[u8]) -> PathBuf {
        let full = self.0.join(path);
        if path.ends_with('/') {
            fs::create_dir_all(&full).unwrap();
        } else {
            fs::create_dir_all(full.parent().unwrap()).unwrap();
            fs::write(&full, text).unwrap();
        }
        full
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn close(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
}

fn open(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What `read` returns to a thread without capabilities.
fn without_capabilities<T: Send>(read: impl FnOnce() -> T + Send) -> T {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let none = CapabilitySet::empty();
            let sets = CapabilitySets {
                effective: none,
                permitted: none,
                inheritable: none,
            };
            set_capabilities(None, sets).unwrap();
            read()
        });
        thread.join().unwrap()
    })
}

#[test]
fn what_is_denied_is_denied_and_no_number() {
    for (file, read) in PROCESS {
        let copy = Copy::new();
        let closed = copy.with(&format!("7/{file}"), b"1 2 3\n");
        close(&closed);
        let proc = Proc::recorded(&copy.0, 4096);
        let reading = without_capabilities(|| read(&proc, 7));
        open(&closed);
        assert_eq!(reading, Reading::Denied, "{file}");
    }
    for (path, read) in HOST {
        let copy = Copy::new();
        let closed = copy.with(path, b"1 2 3\n");
        close(&closed);
        let host = Host::recorded(&copy.0);
        let reading = without_capabilities(|| read(&host));
        open(&closed);
        assert_eq!(reading, Reading::Denied, "{path}");
    }
}

#[test]
fn what_is_not_there_is_absent_and_no_number() {
    let copy = Copy::new();
    copy.with("7/", b"");
    let proc = Proc::recorded(&copy.0, 4096);
    for (file, read) in PROCESS {
        assert_eq!(read(&proc, 7), Reading::Absent(Reason::NotInThisKernel), "{file}");
        assert_eq!(read(&proc, 8), Reading::Absent(Reason::Gone), "{file}");
    }
    for (path, read) in HOST {
        let host = Host::recorded(&copy.0);
        assert_eq!(read(&host), Reading::Absent(Reason::NotInThisKernel), "{path}");
    }
}

#[test]
fn rubbish_in_any_file_is_no_reason_to_stop() {
    let rubbish = b"\xff\xfe : \n-\nPss:\x00 kB\n[[x] y]\n18446744073709551616\n(\n";
    for (file, read) in PROCESS.iter().filter(|(file, _)| !file.ends_with('/')) {
        let copy = Copy::new();
        copy.with(&format!("7/{file}"), rubbish);
        let reading = read(&Proc::recorded(&copy.0, 4096), 7);
        let fine = match *file {
            "statm" | "stat" => reading == Reading::Absent(Reason::Malformed),
            "smaps" => reading == Reading::Absent(Reason::NoMemory),
            _ => reading == Reading::Value(()),
        };
        assert!(fine, "{file}: {reading:?}");
    }
    for (path, read) in HOST.iter().filter(|(path, _)| !path.ends_with('/')) {
        let copy = Copy::new();
        copy.with(path, rubbish);
        let wanted = match *path {
            // Nothing in it names a group, or the start of the machine.
            "proc/self/cgroup" | "proc/stat" => Reading::Absent(Reason::NotInThisKernel),
            "proc/uptime" => Reading::Absent(Reason::Malformed),
            _ => Reading::Value(()),
        };
        assert_eq!(read(&Host::recorded(&copy.0)), wanted, "{path}");
    }
}

#[test]
fn each_number_of_a_folder_has_its_own_reason() {
    let copy = Copy::new();
    copy.with("sys/kernel/mm/ksm/run", b"1\n");
    copy.with("sys/kernel/mm/ksm/full_scans", b"many\n");
    close(&copy.with("sys/kernel/mm/ksm/pages_shared", b"5\n"));
    copy.with("proc/self/cgroup", b"0::/box\n");
    copy.with("sys/fs/cgroup/box/memory.current", b"4096\n");
    close(&copy.with("sys/fs/cgroup/box/memory.stat", b"anon 1\n"));
    close(&copy.with("sys/devices/system/node/node0/numastat", b"numa_hit 1\n"));
    let host = Host::recorded(&copy.0);
    let (ksm, group, usage, nodes) =
        without_capabilities(|| (host.ksm(), host.memory_group(), host.group_use(), host.nodes()));
    let ksm = ksm.value().unwrap();
    assert_eq!((ksm.run, ksm.pages_shared), (Reading::Value(1), Reading::Denied));
    assert_eq!(ksm.full_scans, Reading::Absent(Reason::Malformed));
    assert_eq!(ksm.profit_bytes, Reading::Absent(Reason::NotInThisKernel));
    let (group, usage) = (group.value().unwrap(), usage.value().unwrap());
    assert_eq!(group.used_bytes, Reading::Value(4096));
    assert_eq!(group.limit, Reading::Absent(Reason::NotInThisKernel));
    assert_eq!(usage.stat, Reading::Denied);
    let node = &nodes.value().unwrap()[0];
    assert_eq!(node.numastat, Reading::Denied);
    assert_eq!(node.meminfo, Reading::Absent(Reason::NotInThisKernel));
}

#[test]
fn another_users_process_keeps_its_memory_to_itself() {
    use neap_os::pagemap::{Categories, Query};
    let proc = Proc::default();
    let query = Query::all_of(Categories::PRESENT);
    let denied = without_capabilities(|| {
        [
            ("maps", proc.maps(1).map(drop)),
            ("smaps", proc.smaps(1).map(drop)),
            ("smaps_rollup", proc.smaps_rollup(1).map(drop)),
            ("numa_maps", proc.numa_maps(1).map(drop)),
            ("pagemap", proc.pagemap(1, 0..4096, |_, _| ()).map(drop)),
            ("PAGEMAP_SCAN", proc.scan(1, 0..4096, &query).map(drop)),
        ]
    });
    if denied[0].1 == Reading::Value(()) {
        // A container in which process 1 is this user's own and has no capabilities either.
        return crate::skip::skip("process 1 may be read by anybody here");
    }
    for (what, reading) in denied {
        let fine = match what {
            // Built without CONFIG_NUMA, or older than 6.7.
            "numa_maps" | "PAGEMAP_SCAN" => matches!(
                reading,
                Reading::Denied | Reading::Absent(Reason::NotInThisKernel)
            ),
            _ => reading == Reading::Denied,
        };
        assert!(fine, "{what}: {reading:?}");
    }
    assert!(
        proc.stat(1).value().is_some(),
        "stat and status are for everybody"
    );
    assert!(proc.status(1).value().is_some());
}
