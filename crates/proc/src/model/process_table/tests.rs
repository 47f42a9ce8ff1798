//! Tables of a `/proc` made up file by file, and of the running one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::*;

/// A `/proc` in a folder of its own.
struct Made(PathBuf);

impl Made {
    fn new(test: &str) -> Made {
        let root = std::env::temp_dir().join(format!("neap-table-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        Made(root)
    }

    fn proc(&self) -> Proc {
        Proc::recorded(&self.0, 4096)
    }

    fn write(&self, pid: u32, file: &str, text: &str) {
        let folder = self.0.join(pid.to_string());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(file), text).unwrap();
    }

    /// A process with faults, ticks in its own code, a start and resident pages.
    fn process(&self, pid: u32, name: &str, [faults, ticks, start, resident]: [u64; 4]) {
        let stat = format!(
            "{pid} ({name}) S 1 1 1 0 -1 0 {faults} 0 2 0 {ticks} 0 0 0 20 0 3 0 {start} 409600 {resident}\n"
        );
        self.write(pid, "stat", &stat);
        self.write(pid, "statm", &format!("100 {resident} 1 1 0 1 0\n"));
        self.write(pid, "status", "Name:\tx\nUid:\t1000\t1001\t1000\t1000\n");
        self.write(pid, "cmdline", &format!("/bin/{name}\0--port\0{pid}\0"));
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_row_has_what_the_files_say() {
    let made = Made::new("row");
    made.process(10, "server", [7, 250, 99, 20]);
    let table = Processes::new(made.proc()).read().value().unwrap();
    let row = table.row(10).unwrap();
    assert_eq!(
        (row.parent, row.name.as_str(), row.threads, row.start_ticks),
        (1, "server", 3, 99)
    );
    assert_eq!(row.user, Reading::Value(1001), "the effective user");
    let arguments = row.arguments.as_value().unwrap();
    assert_eq!(
        arguments.iter().map(String::as_str).collect::<Vec<_>>(),
        ["/bin/server", "--port", "10"]
    );
    assert_eq!((row.minor_faults, row.major_faults), (7, 2));
    assert_eq!(row.cpu_ns(table.ticks_per_second), 2_500_000_000);
    assert_eq!(row.resident_bytes, Reading::Value(20 << 12));
    assert_eq!(
        row.footprint,
        Footprint::missing(Reading::Absent(Reason::NotYet)),
        "nobody asked for it"
    );
    assert_eq!((table.denied, table.row(11)), (0, None));
}

#[test]
fn rates_are_of_the_same_process_only() {
    let made = Made::new("rates");
    for pid in [10, 11] {
        made.process(pid, "a", [100, 50, 7, 1000]);
    }
    let mut processes = Processes::new(made.proc());
    let mut before = processes.read().value().unwrap();
    made.process(10, "a", [300, 75, 7, 500]);
    made.process(11, "a", [300, 75, 8, 500]);
    made.process(12, "new", [1, 1, 9, 1]);
    let mut after = processes.read().value().unwrap();
    (before.at_ns, after.at_ns) = (1_000_000_000, 1_500_000_000);
    let rates = after.rates_since(&before);
    assert_eq!(
        rates.keys().collect::<Vec<_>>(),
        [&10],
        "11 is another process of the same pid, 12 is new"
    );
    let expected = Rates {
        minor_faults_per_second: 400.0,
        major_faults_per_second: 0.0,
        cpu_share: 0.5,
        resident_growth_bytes_per_second: Some(-4_096_000.0),
    };
    assert_eq!(rates[&10], expected);
    assert!(after.rates_since(&after).is_empty(), "no time has passed");
}

#[test]
fn a_new_program_in_an_old_process_is_seen_at_once_and_a_new_title_by_turns() {
    let made = Made::new("exec");
    made.process(10, "sh", [0, 0, 5, 1]);
    let mut processes = Processes::new(made.proc());
    let line = |table: ProcessTable| table.rows[0].arguments.as_value().unwrap().join(" ");
    assert_eq!(line(processes.read().value().unwrap()), "/bin/sh --port 10");
    made.process(10, "server", [0, 0, 5, 1]);
    assert_eq!(line(processes.read().value().unwrap()), "/bin/server --port 10");
    made.write(10, "cmdline", "server: idle\0");
    let titles: Vec<String> = (0..TURNS)
        .map(|_| line(processes.read().value().unwrap()))
        .collect();
    assert!(titles.contains(&"server: idle".to_owned()), "{titles:?}");
}

#[test]
fn who_has_no_memory_has_no_figures_and_no_zeros() {
    let made = Made::new("kernel");
    made.process(2, "kthreadd", [0, 0, 0, 0]);
    made.write(2, "statm", "0 0 0 0 0 0 0\n");
    made.write(2, "cmdline", "");
    made.process(10, "a", [0, 0, 0, 1]);
    let proc = made.proc();
    let mut table = Processes::new(proc.clone()).read().value().unwrap();
    table.read_footprints(&proc, FootprintSource::Smaps, |_| true);
    let kernel = table.row(2).unwrap();
    assert!(!kernel.has_memory() && table.row(10).unwrap().has_memory());
    assert_eq!(kernel.resident_bytes, Reading::Absent(Reason::NoMemory));
    assert_eq!(
        kernel.footprint.proportional_bytes,
        Reading::Absent(Reason::NoMemory)
    );
    assert!(kernel.arguments.as_value().unwrap().is_empty());
    assert_eq!(
        table.row(10).unwrap().footprint.proportional_bytes,
        Reading::Absent(Reason::NotInThisKernel),
        "its folder has no smaps"
    );
}

#[test]
fn chosen_processes_are_read_alone_and_footprints_on_demand() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/linux-6.18/proc");
    let proc = Proc::recorded(root, 4096);
    let mut table = Processes::new(proc.clone()).read_of(&[4711, 4711, 5]);
    assert_eq!(table.rows.len(), 1);
    table.read_footprints(&proc, FootprintSource::Smaps, |row| row.pid == 5);
    assert_eq!(
        table.rows[0].footprint.unique_bytes,
        Reading::Absent(Reason::NotYet)
    );
    table.read_footprints(&proc, FootprintSource::Smaps, |row| row.pid == 4711);
    let smaps = proc.smaps(4711).value().unwrap();
    assert_eq!(table.rows[0].footprint, Footprint::of(&smaps));
    assert_eq!(table.rows[0].resident_bytes, Reading::Value(3619 << 12));
}

#[test]
fn long_command_lines_are_cut_at_a_character() {
    let long = vec!["é".repeat(3000), "second".to_owned()];
    let kept = kept(long);
    assert_eq!((kept.len(), kept[0].len()), (1, 4096));
    assert!(kept[0].chars().all(|c| c == 'é'));
}

#[test]
fn the_running_machine_has_this_process_and_its_child() {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let mut processes = Processes::new(Proc::default());
    let mut table = processes.read().value().unwrap();
    table.read_footprints(&Proc::default(), FootprintSource::Rollup, |row| {
        row.pid == std::process::id()
    });
    let again = processes.read_of(&[child.id()]);
    child.kill().unwrap();
    child.wait().unwrap();
    let me = table.row(std::process::id()).unwrap();
    assert!(me.footprint.proportional_bytes.value() > Some(0) && me.has_memory());
    assert_eq!(table.row(child.id()).unwrap().parent, me.pid);
    assert_eq!(
        me.user.value(),
        Proc::default().owner(me.pid).value(),
        "a process that may be traced is its user's"
    );
    let rates = again.rates_since(&table);
    assert!(rates[&child.id()].minor_faults_per_second >= 0.0);
    assert!(processes.read_of(&[child.id()]).rows.is_empty(), "it has ended");
}
