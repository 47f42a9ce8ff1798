use super::*;
use std::path::Path;
use std::time::Duration;

use crate::export::choice::NamePattern;
use crate::export::choice::UserNumber;

/// A machine of three processes, a kernel thread and a zombie.
struct Recorded {
    folder: tempfile::TempDir,
}

impl Recorded {
    fn new() -> Recorded {
        let recorded = Recorded {
            folder: tempfile::tempdir().unwrap(),
        };
        recorded.put("proc/stat", "btime 1700000000\n");
        recorded.process(10, "web", 300, 33);
        recorded.process(11, "db", 500, 999);
        recorded.process(12, "web", 400, 33);
        recorded.put("proc/2/stat", &stat(2, "kthreadd", 1, 0));
        recorded.put("proc/2/statm", "0 0 0 0 0 0 0\n");
        recorded
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn process(&self, pid: u32, name: &str, pages: u64, user: u32) {
        self.put(&format!("proc/{pid}/stat"), &stat(pid, name, 5000, pages));
        self.put(
            &format!("proc/{pid}/statm"),
            &format!("{} {pages} 0 1 0 1 0\n", pages * 2),
        );
        self.put(
            &format!("proc/{pid}/status"),
            &format!(
                "Name:\t{name}\nPid:\t{pid}\nUid:\t{user}\t{user}\t{user}\t{user}\nVmRSS:\t{} kB\nRssAnon:\t8 kB\n",
                pages * 4
            ),
        );
        self.put(
            &format!("proc/{pid}/cmdline"),
            &format!("/opt/{name}-server\0-x\0"),
        );
        self.put(
            &format!("proc/{pid}/cgroup"),
            &format!("0::/system.slice/{name}.service\n"),
        );
        self.put(
            &format!("proc/{pid}/smaps_rollup"),
            "1000-2000 ---p 0 00:00 0 [rollup]\nRss: 9 kB\nPss: 7 kB\nPrivate_Clean: 1 kB\nPrivate_Dirty: 2 kB\n",
        );
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn gatherer(&self, choice: Choice) -> Gatherer {
        Gatherer::of(
            Proc::recorded(self.root().join("proc"), 4096),
            Host::recorded(self.root()),
            choice,
            ShareReader::new(Duration::from_secs(1)),
            Classes::Hidden,
        )
    }

    fn pids(&self, choice: Choice) -> Vec<u32> {
        let scrape = self.gatherer(choice).gather().unwrap();
        scrape.processes.iter().map(|process| process.pid).collect()
    }
}

fn stat(pid: u32, name: &str, start: u64, pages: u64) -> String {
    format!("{pid} ({name}) S 1 1 1 0 0 0 21 0 3 0 150 50 0 0 20 0 4 0 {start} 4096 {pages}\n")
}

fn all() -> Choice {
    Choice {
        pids: vec![],
        names: vec![],
        users: vec![],
        groups: vec![],
        under: Under::Anything,
        limit: 100,
    }
}

#[test]
fn figures_come_from_their_files() {
    let recorded = Recorded::new();
    let scrape = recorded.gatherer(all()).gather().unwrap();
    let web = &scrape.processes[0];
    assert_eq!((web.pid, web.name.as_str()), (10, "web"));
    assert_eq!(web.memory.resident_bytes, Figure::Known(1200 << 10));
    assert_eq!(
        web.memory.resident_shmem_bytes.reason(),
        Some("not in this kernel")
    );
    assert_eq!(
        (web.memory.minor_faults.value(), web.memory.major_faults.value()),
        (Some(21), Some(3))
    );
    assert_eq!(web.memory.user_ns, Figure::Known(1_500_000_000));
    assert_eq!(web.shares.proportional_bytes, Figure::Known(7 << 10));
    assert_eq!(web.shares.unique_bytes, Figure::Known(3 << 10));
    assert_eq!(web.group.as_deref(), Some("/system.slice/web.service"));
    assert!(
        (web.start_time_seconds.unwrap() - 1_700_000_050.0).abs() < 1e-6,
        "5000 ticks of 10 ms"
    );
    assert_eq!((scrape.exporter.seen, scrape.exporter.exported), (4, 3));
}

#[test]
fn conditions_narrow_each_other_and_the_largest_are_kept() {
    let recorded = Recorded::new();
    let name = |pattern: &str| vec![NamePattern::parse(pattern).unwrap()];
    let web = Choice {
        names: name("web"),
        ..all()
    };
    assert_eq!(
        recorded.pids(all()),
        [10, 11, 12],
        "a kernel thread has no memory"
    );
    assert_eq!(recorded.pids(web.clone()), [10, 12]);
    assert_eq!(
        recorded.pids(Choice {
            names: name("db-server"),
            ..all()
        }),
        [11]
    );
    let neither = Choice {
        users: vec![UserNumber(999)],
        ..web
    };
    assert!(recorded.pids(neither).is_empty());
    assert_eq!(
        recorded.pids(Choice {
            users: vec![UserNumber(999)],
            ..all()
        }),
        [11]
    );
    assert_eq!(
        recorded.pids(Choice {
            groups: vec!["/system.slice/db.service".to_owned()],
            ..all()
        }),
        [11]
    );
    assert_eq!(
        recorded.pids(Choice {
            pids: vec![12, 99],
            ..all()
        }),
        [12]
    );
    let two = Choice { limit: 2, ..all() };
    assert_eq!(
        recorded.pids(two.clone()),
        [11, 12],
        "the largest, in the order of pids"
    );
    assert_eq!(recorded.gatherer(two).gather().unwrap().exporter.left_out, 1);
}

#[test]
fn a_process_that_ended_is_gone_and_a_reused_pid_is_another() {
    let recorded = Recorded::new();
    let mut gatherer = recorded.gatherer(all());
    let before = gatherer.gather().unwrap();
    std::fs::remove_dir_all(recorded.root().join("proc/11")).unwrap();
    recorded.put("proc/12/stat", &stat(12, "web", 9000, 400));
    let after = gatherer.gather().unwrap();
    let pids: Vec<u32> = after.processes.iter().map(|process| process.pid).collect();
    assert_eq!((before.processes.len(), pids), (3, vec![10, 12]));
    let start = |scrape: &Scrape, pid| {
        scrape
            .processes
            .iter()
            .find(|process| process.pid == pid)
            .unwrap()
            .start_time_seconds
            .unwrap()
    };
    assert!((start(&after, 12) - start(&before, 12) - 40.0).abs() < 1e-6);
    assert!((start(&after, 10) - start(&before, 10)).abs() < 1e-6);
}

#[test]
fn a_file_that_is_not_there_is_counted_and_the_process_stays() {
    let recorded = Recorded::new();
    std::fs::remove_file(recorded.root().join("proc/11/smaps_rollup")).unwrap();
    std::fs::remove_file(recorded.root().join("proc/11/status")).unwrap();
    let scrape = recorded.gatherer(all()).gather().unwrap();
    let db = &scrape.processes[1];
    assert_eq!(db.memory.resident_bytes.reason(), Some("not in this kernel"));
    assert_eq!(db.memory.threads, Figure::Known(4), "stat is there");
    assert_eq!(db.user, None);
    let count = |source: &str| {
        let of = |row: &&_| {
            let row: &crate::export::figures::Unreadable = row;
            row.source == source && row.reason == "not_in_this_kernel"
        };
        scrape.unreadable.iter().find(of).map(|row| row.processes)
    };
    assert_eq!((count("status"), count("smaps_rollup")), (Some(1), Some(1)));
}

#[test]
fn a_proc_that_cannot_be_listed_is_an_error_and_not_an_empty_machine() {
    let recorded = Recorded::new();
    std::fs::remove_dir_all(recorded.root().join("proc")).unwrap();
    let why = recorded.gatherer(all()).gather().unwrap_err();
    assert!(why.contains("/proc could not be listed"), "{why}");
}
