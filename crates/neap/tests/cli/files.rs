//! `neap file` beside vmtouch(8), and where vmtouch's numbers are not true.
//!
//! The files lie beside the build, not in a temporary folder, which may be tmpfs and has no page cache of its
//! own.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{assert_reasons_lead_to_nulls, compile, json, missing, neap, skip, stderr, wait_until};

const PAGE: u64 = 4096;

/// A folder on the disk that the build lies on.
fn on_disk() -> TempDir {
    tempfile::Builder::new()
        .prefix("neap-file-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap()
}

/// Writes `bytes` and waits until they are on the disk: only clean pages can be dropped.
fn write(path: &Path, bytes: usize) {
    let mut file = File::create(path).unwrap();
    file.write_all(&vec![7; bytes]).unwrap();
    file.sync_all().unwrap();
}

fn file(arguments: &[&str], folder: &Path) -> Output {
    neap()
        .arg("file")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

#[track_caller]
fn record(arguments: &[&str], folder: &Path) -> Value {
    let output = file(&[arguments, &["--json"]].concat(), folder);
    let record = json(&output);
    assert_eq!(record["schema"], "neap.file/1");
    assert_reasons_lead_to_nulls(&record);
    record
}

fn resident(record: &Value) -> u64 {
    record["cache"]["resident_pages"].as_u64().unwrap()
}

/// The files' pages as vmtouch counts them: resident, all; and the numbers of files and folders.
#[derive(Debug, PartialEq, Eq)]
struct Counted {
    files: u64,
    folders: u64,
    resident: u64,
    pages: u64,
}

fn by_vmtouch(arguments: &[&str], folder: &Path) -> Option<Counted> {
    let output = Command::new("vmtouch")
        .args(arguments)
        .current_dir(folder)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let after = |label: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(label))?;
        line.split_ascii_whitespace().next().map(str::to_owned)
    };
    let (resident, pages) = match after("Resident Pages:") {
        Some(both) => {
            let (resident, pages) = both.split_once('/').unwrap();
            (resident.parse().unwrap(), pages.parse().unwrap())
        }
        None => (0, 0),
    };
    Some(Counted {
        files: after("Files:")?.parse().unwrap(),
        folders: after("Directories:")?.parse().unwrap(),
        resident,
        pages,
    })
}

fn by_neap(arguments: &[&str], folder: &Path) -> Counted {
    let record = record(&[&["status"], arguments].concat(), folder);
    Counted {
        files: record["files"].as_u64().unwrap(),
        folders: record["folders"].as_u64().unwrap(),
        resident: resident(&record),
        pages: record["cache"]["pages"].as_u64().unwrap(),
    }
}

/// Whether vmtouch is there.
fn has_vmtouch(test: &str) -> bool {
    let is_there = Command::new("vmtouch").arg("-V").output().is_ok();
    if !is_there {
        missing(test, "vmtouch is not installed");
    }
    is_there
}

/// Drops all of a file from the cache, without neap.
fn drop_from_cache(path: &Path) {
    let file = File::open(path).unwrap();
    wait_until("the file to leave the cache", || {
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        neap_map::CacheStat::of(&file, ..).map_or(true, |stat| stat.cached() == 0)
    });
}

/// Reads one page without its neighbours.
fn read_page(path: &Path, page: u64) {
    let file = File::open(path).unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Random).unwrap();
    file.read_at(&mut [0; 1], page * PAGE).unwrap();
}

/// Files of every size at the edges of a page, in folders, linked, sparse and partly in memory.
fn tree(folder: &Path) {
    fs::create_dir_all(folder.join("one/two")).unwrap();
    for size in [0, 1, 4095, 4096, 4097, 8192, 100_000] {
        write(&folder.join(format!("one/{size}")), size);
    }
    write(&folder.join("one/two/large"), 3 << 20);
    fs::hard_link(folder.join("one/two/large"), folder.join("linked")).unwrap();
    symlink("one/4097", folder.join("symbolic")).unwrap();
    let sparse = File::create(folder.join("sparse")).unwrap();
    sparse.set_len(5 << 20).unwrap();
    sparse.write_at(&[1; 10], 3 << 20).unwrap();
    sparse.sync_all().unwrap();
    for path in ["one/100000", "one/two/large", "sparse"] {
        drop_from_cache(&folder.join(path));
    }
    for page in [0, 3, 7, 500, 767] {
        read_page(&folder.join("one/two/large"), page);
    }
    read_page(&folder.join("sparse"), 768);
    read_page(&folder.join("sparse"), 1);
}

#[test]
fn pages_are_counted_as_vmtouch_counts_them() {
    if !has_vmtouch("pages_are_counted_as_vmtouch_counts_them") {
        return;
    }
    let folder = on_disk();
    tree(folder.path());
    for (own, theirs) in [
        (&["."][..], &["."][..]),
        (&["one"], &["one"]),
        (&["sparse"], &["sparse"]),
        (&["linked", "sparse"], &["linked", "sparse"]),
        (&["--follow", "symbolic"], &["-f", "symbolic"]),
        (
            &["one/two/large", "-p", "4K-1M"],
            &["one/two/large", "-p", "4k-1M"],
        ),
        (
            &["one/two/large", "-p", "5000-12K"],
            &["one/two/large", "-p", "5000-12k"],
        ),
        (&["one/two/large", "-p", "2M-"], &["one/two/large", "-p", "2M-"]),
        (&["one/two/large", "-p", "64K"], &["one/two/large", "-p", "64k"]),
        (&[".", "--max-size", "4096"], &[".", "-m", "4096"]),
        (&[".", "--exclude", "large"], &[".", "-i", "*large"]),
    ] {
        let counted = by_neap(own, folder.path());
        let mut wanted = by_vmtouch(theirs, folder.path()).unwrap();
        if theirs.contains(&"-m") {
            // vmtouch counts as a file what it leaves out for its size.
            assert!(wanted.files > counted.files);
            wanted.files = counted.files;
        }
        assert_eq!(counted, wanted, "{own:?}");
        assert!(counted.pages > 0, "{own:?}");
    }
    let all = by_neap(&["."], folder.path());
    assert!(
        all.resident > 0 && all.resident < all.pages / 2,
        "partly in memory: {all:?}"
    );
    assert_eq!(all.files, 9, "the link is no file of its own");
}

#[test]
fn touch_and_evict_do_what_vmtouch_does() {
    if !has_vmtouch("touch_and_evict_do_what_vmtouch_does") {
        return;
    }
    let folder = on_disk();
    tree(folder.path());
    let touched = record(&["touch", "."], folder.path());
    let pages = touched["cache"]["pages"].as_u64().unwrap();
    assert_eq!(resident(&touched), pages);
    let before = touched["before"]["resident_pages"].as_u64().unwrap();
    assert_eq!(touched["brought_in_bytes"], (pages - before) * PAGE);
    let theirs = by_vmtouch(&["."], folder.path()).unwrap();
    assert_eq!((theirs.resident, theirs.pages), (pages, pages));

    let evicted = record(&["evict", "."], folder.path());
    assert_eq!(
        (evicted["before"]["resident_pages"].as_u64(), resident(&evicted)),
        (Some(pages), 0)
    );
    assert_eq!(by_vmtouch(&["."], folder.path()).unwrap().resident, 0);

    assert!(
        Command::new("vmtouch")
            .args(["-qt", "."])
            .current_dir(folder.path())
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(by_neap(&["."], folder.path()).resident, pages);
    assert!(
        Command::new("vmtouch")
            .args(["-qe", "."])
            .current_dir(folder.path())
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(by_neap(&["."], folder.path()).resident, 0);

    let part = record(&["touch", "-p", "1M-2M", "one/two/large"], folder.path());
    assert_eq!(resident(&part), 256);
    assert_eq!(
        by_vmtouch(&["-p", "1M-2M", "one/two/large"], folder.path())
            .unwrap()
            .resident,
        256
    );
}

/// The one row of a record about one file.
#[track_caller]
fn only_row(record: &Value) -> &Value {
    let rows = record["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{record}");
    &rows[0]
}

#[test]
fn what_stays_because_it_is_mapped_is_said_where_vmtouch_says_it_is_gone() {
    let test = "what_stays_because_it_is_mapped_is_said_where_vmtouch_says_it_is_gone";
    let folder = on_disk();
    let path = folder.path().join("mapped");
    write(&path, 1 << 20);
    let opened = File::open(&path).unwrap();
    let map = neap_map::FileMap::of(&opened).map().unwrap();
    map.hint(.., neap_map::Hint::PopulateRead).unwrap();
    let evicted = record(&["evict", "mapped"], folder.path());
    assert_eq!(resident(&evicted), 256, "not one page of a mapped file goes");
    let stayed = &only_row(&evicted)["stayed"][0];
    assert_eq!(stayed["why"], "mapped");
    let holder = &stayed["by"][0];
    assert_eq!(holder["pid"], std::process::id());
    assert_eq!(holder["resident_bytes"], 1 << 20);
    assert_eq!(holder["locked_bytes"], 0);
    let text = String::from_utf8(file(&["evict", "mapped"], folder.path()).stdout).unwrap();
    assert!(
        text.contains("mapped by") && text.contains(&format!("pid {}", std::process::id())),
        "{text}"
    );
    assert!(text.contains("evicted     0 pages, 0 B"), "{text}");
    if has_vmtouch(test) {
        let theirs = Command::new("vmtouch")
            .args(["-e", "mapped"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let theirs = String::from_utf8_lossy(&theirs.stdout).into_owned();
        assert!(theirs.contains("Evicted Pages: 256"), "{theirs}");
        assert_eq!(by_vmtouch(&["mapped"], folder.path()).unwrap().resident, 256);
    }
    drop(map);
    assert_eq!(resident(&record(&["evict", "mapped"], folder.path())), 0);
}

#[test]
fn what_stays_because_it_is_locked_is_said() {
    let folder = on_disk();
    write(&folder.path().join("locked"), 1 << 20);
    let own = env!("CARGO_BIN_EXE_neap");
    let output = file(
        &[
            "lock", "locked", "-o", "lock.txt", "--", own, "file", "evict", "locked", "--json",
        ],
        folder.path(),
    );
    if stderr(&output).contains("RLIMIT_MEMLOCK") {
        return skip(
            "what_stays_because_it_is_locked_is_said",
            "1 MiB may not be locked here",
        );
    }
    let evicted = json(&output);
    assert_eq!(resident(&evicted), 256);
    let stayed = &only_row(&evicted)["stayed"][0];
    assert_eq!(stayed["why"], "locked", "{evicted}");
    assert_eq!(stayed["by"][0]["command"], "neap");
    assert_eq!(stayed["by"][0]["locked_bytes"], 1 << 20);
    let report = fs::read_to_string(folder.path().join("lock.txt")).unwrap();
    assert!(report.contains("1.00 MiB until process"), "{report}");
}

#[test]
fn what_is_not_written_yet_stays_and_goes_after_sync() {
    let folder = on_disk();
    let path = folder.path().join("dirty");
    let mut file = File::create(&path).unwrap();
    file.write_all(&vec![1; 64 << 20]).unwrap();
    let evicted = record(&["evict", "dirty"], folder.path());
    if resident(&evicted) > 0 {
        let stayed = only_row(&evicted)["stayed"].as_array().unwrap();
        let words: Vec<&str> = stayed
            .iter()
            .map(|stayed| stayed["why"].as_str().unwrap())
            .collect();
        assert!(
            words.contains(&"dirty") || words.contains(&"writeback"),
            "{words:?}"
        );
    }
    drop(file);
    let synced = record(&["evict", "--sync", "dirty"], folder.path());
    assert_eq!(resident(&synced), 0, "{synced}");
    assert_eq!(only_row(&synced)["stayed"], Value::Array(Vec::new()));
}

#[test]
fn memory_is_the_only_copy_of_a_file_in_tmpfs() {
    let test = "memory_is_the_only_copy_of_a_file_in_tmpfs";
    let is_tmpfs = rustix::fs::statfs("/dev/shm").is_ok_and(|about| about.f_type == 0x0102_1994);
    let Some(folder) = is_tmpfs.then(|| tempfile::tempdir_in("/dev/shm").ok()).flatten() else {
        return skip(test, "/dev/shm is no tmpfs that may be written");
    };
    fs::write(folder.path().join("file"), vec![1; 10_000]).unwrap();
    let evicted = record(&["evict", "file"], folder.path());
    assert_eq!(resident(&evicted), 3);
    let stayed = &only_row(&evicted)["stayed"][0];
    assert_eq!(
        (&stayed["why"], &stayed["file_system"]),
        (&"memory_only".into(), &"tmpfs".into())
    );
}

/// A file in the middle of which the kernel keeps huge pages, or why there is none.
fn with_huge_pages(path: &Path) -> Result<(), String> {
    write(path, 8 << 20);
    let opened = File::open(path).unwrap();
    drop_from_cache(path);
    let map = neap_map::FileMap::of(&opened).map();
    let map = map.map_err(|error| error.to_string())?;
    map.hint(.., neap_map::Hint::HugePage)
        .map_err(|error| error.to_string())?;
    map.read_at(4 << 20, &mut [0; 1]).unwrap();
    Ok(())
}

#[test]
fn a_part_of_a_huge_page_stays_and_that_is_said() {
    let folder = on_disk();
    let path = folder.path().join("huge");
    if let Err(why) = with_huge_pages(&path) {
        return skip("a_part_of_a_huge_page_stays_and_that_is_said", &why);
    }
    let evicted = record(&["evict", "-p", "4100K-4104K", "huge"], folder.path());
    if resident(&evicted) == 0 {
        return skip(
            "a_part_of_a_huge_page_stays_and_that_is_said",
            "this file system has no huge pages",
        );
    }
    let stayed = &only_row(&evicted)["stayed"];
    assert_eq!(
        stayed,
        &serde_json::json!([{ "why": "larger_piece", "bytes": 4096 }])
    );
    assert_eq!(resident(&record(&["evict", "huge"], folder.path())), 0);
}

/// neap as a user who is not the owner of root's files.
fn as_nobody(arguments: &[&str], folder: &Path) -> Output {
    let mut command = neap();
    command.arg("file").args(arguments).current_dir(folder);
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    command.output().unwrap()
}

#[test]
fn of_a_file_of_somebody_else_nothing_is_made_up() {
    let passwd = Path::new("/etc/passwd");
    File::open(passwd).unwrap().read_to_end(&mut Vec::new()).unwrap();
    let output = as_nobody(&["status", "/etc/passwd", "--json"], Path::new("/"));
    let report = json(&output);
    assert_reasons_lead_to_nulls(&report);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(report["files_not_told"], 1);
    assert_eq!(report["cache"], Value::Null);
    assert_eq!(only_row(&report)["cache"], Value::Null);
    let reason = "the kernel tells only who owns the file or may write it";
    assert_eq!(report["not_available"]["rows[0].cache"], reason);
    let text = String::from_utf8(as_nobody(&["status", "/etc/passwd"], Path::new("/")).stdout).unwrap();
    assert!(
        text.contains("resident    n/a") && !text.contains(" 0 of 0"),
        "{text}"
    );
}

#[test]
fn what_may_not_be_read_is_counted_and_the_exit_code_says_so() {
    let folder = on_disk();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    write(&folder.path().join("secret"), 10_000);
    fs::set_permissions(folder.path().join("secret"), fs::Permissions::from_mode(0o0)).unwrap();
    fs::create_dir(folder.path().join("closed")).unwrap();
    fs::set_permissions(folder.path().join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
    let output = as_nobody(&["status", ".", "--json"], folder.path());
    fs::set_permissions(folder.path().join("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    if stderr(&output).contains("Permission denied") {
        return skip(
            "what_may_not_be_read_is_counted",
            "the build lies where others may not look",
        );
    }
    let report = json(&output);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        (&report["denied"], &report["files"]),
        (&2.into(), &0.into()),
        "{report}"
    );
    let missing = file(&["status", "no such file", "--json"], folder.path());
    assert_eq!(missing.status.code(), Some(1));
    assert_eq!(json(&missing)["troubles"][0]["why"], "no such file or folder");
}

#[test]
fn what_is_no_file_is_left_out_by_name() {
    let folder = on_disk();
    write(&folder.path().join("file"), 1);
    let fifo = CString::new(folder.path().join("fifo").to_str().unwrap()).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_bits_truncate(0o600),
        0,
    )
    .unwrap();
    let _socket = UnixListener::bind(folder.path().join("socket")).unwrap();
    symlink("file", folder.path().join("link")).unwrap();
    symlink("nowhere", folder.path().join("dangling")).unwrap();
    let report = record(&["status", ".", "/dev/null"], folder.path());
    assert_eq!(report["files"], 1);
    let skipped = &report["skipped"];
    for (kind, count) in [
        ("fifo", 1),
        ("socket", 1),
        ("symbolic link", 2),
        ("character device", 1),
    ] {
        assert_eq!(skipped[kind], count, "{kind}");
    }
    let names = report["skipped_names"].as_array().unwrap();
    assert!(
        names
            .iter()
            .any(|name| name["path"] == "./fifo" && name["why"] == "fifo")
    );
    // Named by itself, a link is left out, too, as long as links are not followed.
    let link = record(&["status", "link"], folder.path());
    assert_eq!(
        (&link["files"], &link["skipped"]["symbolic link"]),
        (&0.into(), &1.into())
    );
    // Followed, the link is the file again, and the dangling one is no failure of the walk's.
    let followed = file(&["status", "--follow", "--json", "."], folder.path());
    let followed = json(&followed);
    assert_eq!(followed["files"], 1);
    assert_eq!(followed["skipped"]["hard link to a file that was counted"], 1);
    assert_eq!(followed["vanished"], 1);
}

#[test]
fn a_loop_of_links_ends() {
    let folder = on_disk();
    fs::create_dir(folder.path().join("inner")).unwrap();
    symlink("..", folder.path().join("inner/up")).unwrap();
    write(&folder.path().join("inner/file"), 5000);
    let report = record(&["status", "--follow", "."], folder.path());
    assert_eq!(report["files"], 1);
    assert_eq!(
        report["troubles"][0]["why"],
        "a link leads back to a folder above it"
    );
}

#[test]
fn sizes_globs_and_lists_choose() {
    let folder = on_disk();
    for (name, size) in [("a.db", 1000), ("b.db", 100_000), ("c.log", 5_000_000)] {
        write(&folder.path().join(name), size);
    }
    fs::create_dir(folder.path().join("target")).unwrap();
    write(&folder.path().join("target/d.db"), 10);
    let names = |arguments: &[&str]| {
        let report = record(&[&["status"], arguments].concat(), folder.path());
        let rows = report["rows"].as_array().unwrap().clone();
        let name = |row: Value| row["path"].as_str().unwrap().trim_start_matches("./").to_owned();
        let mut names: Vec<String> = rows.into_iter().map(name).collect();
        names.sort();
        names
    };
    assert_eq!(names(&["."]), ["a.db", "b.db", "c.log", "target/d.db"]);
    assert_eq!(
        names(&[".", "--min-size", "1000", "--max-size", "100000"]),
        ["a.db", "b.db"]
    );
    assert_eq!(
        names(&[".", "--exclude", "target", "--exclude", "*.log"]),
        ["a.db", "b.db"]
    );
    assert_eq!(
        names(&["a.db", ".", "a.db"]),
        ["a.db", "b.db", "c.log", "target/d.db"]
    );
    fs::write(folder.path().join("list"), "a.db\n\nc.log\n").unwrap();
    assert_eq!(names(&["--from-file", "list"]), ["a.db", "c.log"]);
    let mut child = neap()
        .args(["file", "status", "-0", "--from-file", "-", "--json"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"a.db\0b.db\0").unwrap();
    assert_eq!(json(&child.wait_with_output().unwrap())["files"], 2);
}

#[test]
fn rows_are_ordered_and_few() {
    let folder = on_disk();
    for index in 0..15_usize {
        write(&folder.path().join(format!("{index:02}")), index * 10_000);
    }
    let few = record(&["status", "--sort", "size", "--top", "2", "."], folder.path());
    let sizes: Vec<u64> = few["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["size_bytes"].as_u64().unwrap())
        .collect();
    assert_eq!(
        (sizes, &few["rows_not_listed"]),
        (vec![140_000, 130_000], &13.into())
    );
    let text = String::from_utf8(file(&["status", "."], folder.path()).stdout).unwrap();
    assert!(text.contains("... and 5 more (-v has all)"), "{text}");
    let all = record(&["status", "-v", "."], folder.path());
    assert_eq!(all["rows"].as_array().unwrap().len(), 15);
}

#[test]
fn cells_show_where_the_pages_are() {
    let folder = on_disk();
    let path = folder.path().join("half");
    write(&path, 1 << 20);
    drop_from_cache(&path);
    let opened = File::open(&path).unwrap();
    rustix::fs::fadvise(&opened, 0, None, rustix::fs::Advice::Random).unwrap();
    opened.read_exact_at(&mut vec![0; 512 << 10], 512 << 10).unwrap();
    let report = record(&["status", "-v", "half"], folder.path());
    assert_eq!(resident(&report), 128);
    let cells: Vec<f64> = only_row(&report)["cells"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| cell.as_f64().unwrap())
        .collect();
    let (first, second) = cells.split_at(30);
    assert_eq!((first, second), (&[0.0; 30][..], &[1.0; 30][..]));
    let text = String::from_utf8(file(&["status", "-v", "half"], folder.path()).stdout).unwrap();
    assert!(
        text.contains(&format!("[{}{}]", "·".repeat(30), "█".repeat(30))),
        "{text}"
    );
    let ascii = neap()
        .args(["file", "status", "-v", "half"])
        .env("LC_ALL", "C")
        .current_dir(folder.path())
        .output();
    let ascii = String::from_utf8(ascii.unwrap().stdout).unwrap();
    assert!(
        ascii.contains(&format!("[{}{}]", ".".repeat(30), "O".repeat(30))),
        "{ascii}"
    );
}

#[test]
fn a_hundred_thousand_files_need_few_descriptors_and_little_memory() {
    const FILES: u64 = 100_000;
    let folder = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| on_disk());
    for part in 0..100 {
        let below = folder.path().join(format!("{part}"));
        fs::create_dir(&below).unwrap();
        for index in 0..FILES / 100 {
            File::create(below.join(format!("{index}"))).unwrap();
        }
    }
    // 20 descriptors, and 128 MiB of data.
    let script = "ulimit -n 20; ulimit -d 131072; exec \"$0\" file status --json \"$1\"";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_neap")])
        .arg(folder.path())
        .output()
        .unwrap();
    let report = json(&output);
    assert_eq!(
        (&report["files"], &report["folders"]),
        (&FILES.into(), &101.into())
    );
    assert_eq!((&report["denied"], &report["failed"]), (&0.into(), &0.into()));
    assert_eq!(report["rows_not_listed"], FILES - 10);
}

#[test]
fn a_huge_file_is_counted_without_its_memory() {
    let folder = on_disk();
    let path = folder.path().join("huge");
    let opened = File::create(&path).unwrap();
    if opened.set_len(1 << 40).is_err() {
        return skip("a_huge_file_is_counted", "this file system has no file of 1 TiB");
    }
    opened.write_at(&[1; 8192], 1 << 39).unwrap();
    opened.sync_all().unwrap();
    for arguments in [&["status", "-v"][..], &["evict"], &["touch", "-p", "512G-513G"]] {
        if arguments[0] == "touch" {
            // A whole GiB of holes would be read; one MiB is enough to see it.
            let report = record(
                &["touch", "-p", "549755813888-549756862464", "huge"],
                folder.path(),
            );
            assert_eq!(resident(&report), 256);
            continue;
        }
        let report = record(&[arguments, &["huge"]].concat(), folder.path());
        assert_eq!(report["cache"]["pages"], 1_u64 << 28);
        assert!(resident(&report) <= 2, "{report}");
    }
}

#[test]
fn files_that_come_and_go_meanwhile_are_no_failure() {
    let folder = on_disk();
    for index in 0..500 {
        write_fast(&folder.path().join(format!("{index}")));
    }
    let path = folder.path().to_owned();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = stop.clone();
    let other = std::thread::spawn(move || {
        let mut round = 0_usize;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            let name = path.join(format!("{}", round % 500));
            match round % 3 {
                0 => drop(fs::remove_file(&name)),
                1 => write_fast(&name),
                _ => drop(
                    File::options()
                        .write(true)
                        .open(&name)
                        .map(|file| file.set_len(3)),
                ),
            }
            round += 7;
        }
    });
    for verb in ["status", "touch", "evict", "status", "touch", "evict"] {
        let output = file(&[verb, "."], folder.path());
        assert_eq!(
            output.status.code(),
            Some(0),
            "{verb}: {} {output:?}",
            stderr(&output)
        );
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    other.join().unwrap();
}

fn write_fast(path: &Path) {
    let _ = fs::write(path, [1; 20_000]);
}

/// A program that starts another without cachestat, as on a kernel before 6.5.
const WITHOUT_CACHESTAT: &str = r#"
#include <errno.h>
#include <stddef.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(int argc, char **argv) {
    (void)argc;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 451, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { sizeof code / sizeof *code, code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 77;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) return 77;
    execv(argv[1], argv + 1);
    return 127;
}
"#;

#[test]
fn an_older_kernel_is_asked_by_mincore() {
    let test = "an_older_kernel_is_asked_by_mincore";
    let folder = on_disk();
    let Some(launcher) = compile(test, &folder, "launcher", WITHOUT_CACHESTAT, &[]) else {
        return;
    };
    let files = folder.path().join("files");
    fs::create_dir(&files).unwrap();
    tree(&files);
    let with = by_neap(&["."], &files);
    let run = |arguments: &[&str], nobody: bool| {
        let mut command = Command::new(&launcher);
        command
            .arg(env!("CARGO_BIN_EXE_neap"))
            .arg("file")
            .args(arguments)
            .current_dir(&files);
        if nobody && rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        command.output().unwrap()
    };
    let output = run(&["status", ".", "--json"], false);
    if output.status.code() == Some(77) {
        return skip(test, "no seccomp filter may be set here");
    }
    let report = json(&output);
    assert_reasons_lead_to_nulls(&report);
    assert_eq!(
        (resident(&report), &report["cache"]["pages"]),
        (with.resident, &with.pages.into())
    );
    assert_eq!(
        report["not_available"]["cache.dirty_bytes"],
        "cachestat needs Linux 6.5"
    );
    let text = String::from_utf8(run(&["status", "-v", "."], false).stdout).unwrap();
    assert!(
        text.contains("dirty       n/a (cachestat needs Linux 6.5)"),
        "{text}"
    );
    // There mincore calls every page resident.
    let other = run(&["status", "/etc/passwd", "--json"], true);
    let other = json(&other);
    assert_eq!(
        (&other["files_not_told"], &other["cache"]),
        (&1.into(), &Value::Null),
        "{other}"
    );
    let evicted = json(&run(&["evict", ".", "--json"], false));
    assert_eq!(resident(&evicted), 0);
}

#[test]
fn other_file_systems_are_left_alone_if_asked() {
    let folder = on_disk();
    fs::create_dir(folder.path().join("mounted")).unwrap();
    write(&folder.path().join("here"), 10);
    let script = r#"mount -t tmpfs none "$1/mounted" || exit 77
        echo there > "$1/mounted/there"
        "$0" file status --json "$1"; "$0" file status -x --json "$1""#;
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_neap")])
        .arg(folder.path())
        .output();
    let Ok(output) = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()) else {
        return missing(
            "other_file_systems_are_left_alone_if_asked",
            "unshare is not installed",
        );
    };
    let mut reports = serde_json::Deserializer::from_str(&output).into_iter::<Value>();
    let (Some(Ok(all)), Some(Ok(one))) = (reports.next(), reports.next()) else {
        return skip(
            "other_file_systems_are_left_alone_if_asked",
            "nothing may be mounted here",
        );
    };
    assert_eq!((&all["files"], &one["files"]), (&2.into(), &1.into()));
}

#[test]
fn locks_last_until_a_signal_or_for_a_time() {
    let test = "locks_last_until_a_signal_or_for_a_time";
    let folder = on_disk();
    write(&folder.path().join("file"), 64 << 10);
    let output = file(&["lock", "file", "--for", "10ms", "--json"], folder.path());
    if stderr(&output).contains("RLIMIT_MEMLOCK") {
        return skip(test, "64 KiB may not be locked here");
    }
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(json(&output)["locked_bytes"], 64 << 10);
    let mut child = neap()
        .args(["file", "lock", "file", "-o", "report"])
        .current_dir(folder.path())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let locked = || {
        fs::read_to_string(&status)
            .unwrap_or_default()
            .contains("VmLck:\t      64 kB")
    };
    wait_until("the lock", || {
        locked() && fs::metadata(folder.path().join("report")).is_ok_and(|about| about.len() > 0)
    });
    assert!(child.try_wait().unwrap().is_none(), "it stays");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn in_the_background_a_pidfile_says_who_holds_the_locks() {
    let test = "in_the_background_a_pidfile_says_who_holds_the_locks";
    let folder = on_disk();
    write(&folder.path().join("file"), 64 << 10);
    let output = file(
        &["lock", "-d", "--pidfile", "pid", "file", "--json"],
        folder.path(),
    );
    if stderr(&output).contains("RLIMIT_MEMLOCK") {
        return skip(test, "64 KiB may not be locked here");
    }
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let pid = fs::read_to_string(folder.path().join("pid"))
        .unwrap()
        .trim()
        .to_owned();
    assert_eq!(json(&output)["process"].to_string(), pid);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("VmLck:\t      64 kB"), "{status}");
    let again = file(&["lock", "-d", "--pidfile", "pid", "file"], folder.path());
    assert_eq!(again.status.code(), Some(125));
    assert!(
        stderr(&again).contains(&format!("process {pid} is running")),
        "{}",
        stderr(&again)
    );
    let number = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(number, rustix::process::Signal::TERM).unwrap();
    wait_until("the process to remove its file", || {
        !folder.path().join("pid").exists()
    });
    wait_until("its end", || !crate::support::is_running(&pid));
    // What a process left that was killed is replaced.
    fs::write(folder.path().join("pid"), "999999999\n").unwrap();
    let replaced = file(
        &["lock", "--pidfile", "pid", "file", "--for", "1ms"],
        folder.path(),
    );
    assert_eq!(replaced.status.code(), Some(0), "{}", stderr(&replaced));
    assert!(!folder.path().join("pid").exists());
}

#[test]
fn a_command_runs_while_files_are_locked_and_its_code_is_passed_on() {
    let folder = on_disk();
    write(&folder.path().join("file"), 8192);
    let run = |command: &[&str]| {
        let arguments = [&["lock", "file", "-o", "report", "--"], command].concat();
        file(&arguments, folder.path())
    };
    let output = run(&["sh", "-c", "grep VmLck /proc/$PPID/status; exit 7"]);
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "VmLck:\t       8 kB"
    );
    assert_eq!(run(&["sh", "-c", "kill -KILL $$"]).status.code(), Some(137));
    assert_eq!(run(&["../no-such-command"]).status.code(), Some(127));
    assert_eq!(run(&["/dev/null"]).status.code(), Some(126));
}

#[test]
fn more_than_may_be_locked_is_refused_before_the_first_page() {
    let folder = on_disk();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    write(&folder.path().join("file"), 1 << 20);
    let script = "ulimit -l 64; exec \"$0\" file lock file --for 1ms";
    let mut command = Command::new("sh");
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_neap")])
        .current_dir(folder.path());
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    let message = stderr(&output);
    if message.contains("Permission denied") {
        return skip(
            "more_than_may_be_locked",
            "the build lies where others may not look",
        );
    }
    assert_eq!(output.status.code(), Some(125), "{message}");
    assert_eq!(
        message,
        "neap: locking 1.00 MiB: RLIMIT_MEMLOCK is 64.0 KiB; raise it: ulimit -l, LimitMEMLOCK= of the unit, or \
         give neap CAP_IPC_LOCK\n"
    );
    let sparse = File::create(folder.path().join("sparse")).unwrap();
    sparse.set_len(1 << 43).unwrap();
    let output = file(&["lock", "sparse"], folder.path());
    assert_eq!(output.status.code(), Some(125));
    assert!(
        stderr(&output).contains("of memory are available; choose less"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn progress_is_for_terminals() {
    let folder = on_disk();
    write(&folder.path().join("file"), 100_000);
    assert_eq!(stderr(&file(&["touch", "."], folder.path())), "");
    let script = format!("{} file touch . 2>&1 >/dev/null", env!("CARGO_BIN_EXE_neap"));
    let seen = Command::new("script")
        .args(["-qec", &script, "/dev/null"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output();
    let Ok(seen) = seen else {
        return missing("progress_is_for_terminals", "script is not installed");
    };
    let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
    assert!(seen.contains("1/1 files") && seen.contains("KiB"), "{seen:?}");
}

#[test]
fn names_are_made_harmless_and_a_closed_pipe_is_no_failure() {
    let folder = on_disk();
    write(&folder.path().join("a\x1b[31mb\n"), 1);
    let text = String::from_utf8(file(&["status", "."], folder.path()).stdout).unwrap();
    assert!(text.contains("a?[31mb?") && !text.contains('\x1b'), "{text}");
    let mut child = neap()
        .args(["file", "status", "-v", "/usr/share/doc"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_is_called_wrongly_is_refused() {
    for arguments in [
        &[][..],
        &["status"],
        &["status", "-p", "5-1", "x"],
        &["status", "-e", "[", "x"],
        &["status", "--min-size", "2", "--max-size", "1", "x"],
        &["status", "-0", "x"],
        &["lock", "x", "--for", "never"],
        &["lock", "-d", "x", "--", "true"],
        &["evict", "--sort", "colour", "x"],
    ] {
        let output = neap().arg("file").args(arguments).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}
