use super::{Snapshot, Taken};
use crate::error::Kind;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

fn bytes(len: u32) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

#[test]
fn others_change_the_file_and_not_the_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let contents = bytes(300_001);
    fs::write(&path, &contents).unwrap();
    let snapshot = Snapshot::take(&File::open(&path).unwrap(), folder.path()).unwrap();
    eprintln!("taken: {:?}", snapshot.taken());
    for attack in ["printf x 1<>$0", "truncate -s 5 $0", "rm $0"] {
        assert!(
            Command::new("sh")
                .args(["-c", attack])
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(snapshot[..], contents, "{attack}");
    }
    // No name, and no descriptor that another could open.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let target = fs::read_link(entry.unwrap().path()).unwrap_or_default();
        assert!(!target.starts_with(folder.path()), "{}", target.display());
    }
    assert_eq!(snapshot.into_map()[..], contents);
}

#[test]
fn it_may_lie_in_another_file_system() {
    let shm = Path::new("/dev/shm");
    if !shm.is_dir() {
        crate::skip::skip(format_args!("it_may_lie_in_another_file_system: no /dev/shm"));
        return;
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, &bytes(70_000)).unwrap();
    let snapshot = Snapshot::take(file.as_file(), shm).unwrap();
    assert_eq!(snapshot[..], bytes(70_000));
    // A file of /proc has no length to copy, and an empty snapshot is one.
    let empty = Snapshot::take(&File::open("/proc/self/stat").unwrap(), shm).unwrap();
    assert!(empty.is_empty() && empty.taken() == Taken::Copied);
}

#[test]
fn where_it_cannot_be_kept_it_says_so() {
    let file = tempfile::tempfile().unwrap();
    let kind = |folder: &str| Snapshot::take(&file, Path::new(folder)).unwrap_err().kind();
    assert_eq!(kind("/nowhere/at/all"), Kind::NotFound);
    assert_ne!(kind("/proc/self"), Kind::NotFound);
    let folder = File::open("/").unwrap();
    assert!(Snapshot::take(&folder, &std::env::temp_dir()).is_err());
}
