//! What mmap says of files.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::process::{Command, Stdio};

use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::fd::Fd;
use neap_os::mapping::{Place, Prot, Request, Sharing, Source};
use rustix::fs::{IFlags, MemfdFlags, SealFlags};

use super::answer::{Caller, answers_of};
use crate::lab::area::{Area, one_page, private, shared};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot};
use crate::lab::setting::Setting;

fn io(error: impl std::fmt::Display) -> Stop {
    cannot(error, "see neap doctor for what this machine forbids")
}

fn of(file: i32, prot: Prot, sharing: Sharing) -> Result<Area, Errno> {
    Area::ask(&Request {
        prot,
        sharing,
        source: Source::File(Fd(file), 0),
        ..private(page_size())
    })
}

/// EBADF.
pub(super) const BAD_DESCRIPTOR: Experiment = Experiment {
    name: "ebadf-of-mmap",
    chapter: Chapter::Errno,
    question: "For which descriptors does mmap say EBADF?",
    method: "Map descriptor -1, one that was closed, and one that was opened with O_PATH.",
    expectation: "EBADF for all three; with MAP_ANONYMOUS the descriptor -1 is no error.",
    explanation: "mmap looks the number up among the open files. A descriptor of O_PATH is open, but it \
                  stands for a place in the file system only and gives no access to the bytes, so to \
                  mmap, as to read, it is none. With MAP_ANONYMOUS the number is not looked at.",
    cannot_show: "A number that another thread closes and opens anew meanwhile: that maps the wrong \
                  file.",
    source: "mmap(2), EBADF; open(2), O_PATH; mm/mmap.c, ksys_mmap_pgoff.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/ebadf-of-mmap.c"),
    rust: include_str!("../../code/ebadf-of-mmap.rs"),
    run: bad_descriptor,
};

fn bad_descriptor(hand: &mut Hand) -> Result<(), Stop> {
    let file = one_page(hand)?;
    let closed = file.as_raw_fd();
    let path = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(hand.scratch().join("one-page"))
        .map_err(io)?;
    let before = hand.look("before");
    drop(file);
    let answers = [
        ("-1", of(-1, Prot::READ, Sharing::Private)),
        ("a closed one", of(closed, Prot::READ, Sharing::Private)),
        ("O_PATH", of(path.as_raw_fd(), Prot::READ, Sharing::Private)),
    ];
    let after = hand.look("after three refusals");
    for (what, answer) in answers {
        hand.expect_errno(what, Errno::EBADF, answer);
    }
    hand.expect_ok("-1 with MAP_ANONYMOUS", Area::ask(&private(page_size())));
    hand.expect_eq("mappings more", 0, after.mappings() - before.mappings());
    Ok(())
}

/// EACCES.
pub(super) const ACCESS: Experiment = Experiment {
    name: "eacces-of-mmap",
    chapter: Chapter::Errno,
    question: "How must a file be open for which mapping?",
    method: "Map a file open for reading only, for writing only, and, as root where the file system can, \
             one with the attribute \"append only\".",
    expectation: "Every mapping needs a descriptor that can read, one of O_WRONLY is EACCES. MAP_SHARED \
                  with PROT_WRITE needs one that can write, too, of a file that is not append-only. \
                  MAP_PRIVATE with PROT_WRITE does not.",
    explanation: "Whatever the rights, pages come into memory by reading the file. A shared store \
                  changes the file, so it needs what write needs; a private one changes a copy. An \
                  append-only file (chattr +a) may grow and not change, and a shared mapping could \
                  change it anywhere.",
    cannot_show: "Security modules (SELinux, AppArmor), which say EACCES for reasons of their own.",
    source: "Note 03, prot and the mode of open; mmap(2), EACCES; mm/mmap.c, do_mmap.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/eacces-of-mmap.c"),
    rust: include_str!("../../code/eacces-of-mmap.rs"),
    run: access,
};

fn access(hand: &mut Hand) -> Result<(), Stop> {
    let both = one_page(hand)?;
    let path = hand.scratch().join("one-page");
    let reading = File::open(&path).map_err(io)?;
    let writing = OpenOptions::new().write(true).open(&path).map_err(io)?;
    let rw = Prot::READ | Prot::WRITE;
    let write_only = of(writing.as_raw_fd(), Prot::WRITE, Sharing::Shared);
    let read_only = of(reading.as_raw_fd(), rw, Sharing::Shared);
    let private_copy = of(reading.as_raw_fd(), rw, Sharing::Private);
    let flags = rustix::fs::ioctl_getflags(&both);
    let set = flags.and_then(|old| rustix::fs::ioctl_setflags(&both, old | IFlags::APPEND).map(|()| old));
    let append = set.map(|old| {
        let answer = of(both.as_raw_fd(), rw, Sharing::Shared);
        (answer, rustix::fs::ioctl_setflags(&both, old))
    });
    if let Ok(area) = &private_copy {
        hand.watch("private and writable of O_RDONLY", area.span());
    }
    hand.look("after the attempts");
    hand.expect_errno("O_WRONLY, shared PROT_WRITE", Errno::EACCES, write_only);
    hand.expect_errno("O_RDONLY, shared PROT_READ|PROT_WRITE", Errno::EACCES, read_only);
    hand.expect_ok("O_RDONLY, private PROT_READ|PROT_WRITE", private_copy);
    match append {
        Ok((answer, restored)) => {
            hand.expect_errno("append-only, shared PROT_READ|PROT_WRITE", Errno::EACCES, answer);
            restored.map_err(io)?;
        }
        Err(error) => hand.figure("append-only: not tried, since the attribute cannot be set", error),
    }
    Ok(())
}

/// ENODEV.
pub(super) const NO_DEVICE: Experiment = Experiment {
    name: "enodev-of-mmap",
    chapter: Chapter::Errno,
    question: "Can every file that has a name and can be opened be mapped?",
    method: "Map a directory, a text of /proc, the memory of a process (/proc/self/mem), and an \
             attribute of /sys; read a byte of the text.",
    expectation: "ENODEV for each; read works.",
    explanation: "To be mapped a file needs an operation of its file system that answers page faults. \
                  The texts of /proc and /sys are made anew by each read and have no pages; a directory \
                  is read by entries, not by bytes. That a file has offsets, as /proc/self/mem has, is \
                  not enough either. A program that maps its input must therefore be able to read it, \
                  too.",
    cannot_show: "Things without a name, pipes and sockets, and devices: they are in the chapter on \
                  drivers.",
    source: "mmap(2), ENODEV; include/linux/fs.h, can_mmap_file; proc(5).",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/enodev-of-mmap.c"),
    rust: include_str!("../../code/enodev-of-mmap.rs"),
    run: no_device,
};

fn no_device(hand: &mut Hand) -> Result<(), Stop> {
    let mut files = vec![("a directory", File::open(hand.scratch()).map_err(io)?)];
    for path in [
        "/proc/self/status",
        "/proc/self/mem",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    ] {
        match File::open(path) {
            Ok(file) => files.push((path, file)),
            Err(error) => hand.figure(&format!("{path}: cannot be opened"), error),
        }
    }
    let before = hand.look("before");
    let answers: Vec<_> = files
        .iter()
        .map(|(what, file)| (*what, of(file.as_raw_fd(), Prot::READ, Sharing::Private)))
        .collect();
    let after = hand.look("after the refusals");
    for (what, answer) in answers {
        hand.expect_errno(what, Errno::ENODEV, answer);
    }
    let text = fs::read("/proc/self/status").map_or(0, |bytes| bytes.len());
    hand.expect(
        "bytes that read gives of /proc/self/status",
        "some",
        text,
        text > 0,
    );
    hand.expect_eq("mappings more", 0, after.mappings() - before.mappings());
    Ok(())
}

/// EPERM.
pub(super) const FORBIDDEN: Experiment = Experiment {
    name: "eperm-of-mmap",
    chapter: Chapter::Errno,
    question: "When does mmap say EPERM, which is not about the file's permissions?",
    method: "Map a memfd with F_SEAL_WRITE shared and writable; a file of a noexec mount with PROT_EXEC; \
             address 0 with MAP_FIXED, in a child as user 65534.",
    expectation: "EPERM for each.",
    explanation: "A seal is a promise to every holder of the descriptor, root included. noexec would \
                  mean nothing if code could be mapped and called (/proc is always noexec). And the \
                  pages around address 0 are kept free (vm.mmap_min_addr), so that a null pointer that \
                  the kernel follows by mistake finds nothing that a user has put there.",
    cannot_show: "Hugetlb pages and mseal, which say EPERM, too: they are in other chapters.",
    source: "mmap(2), EPERM; fcntl(2), F_SEAL_WRITE; security/min_addr.c.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/eperm-of-mmap.c"),
    rust: include_str!("../../code/eperm-of-mmap.rs"),
    run: forbidden,
};

fn forbidden(hand: &mut Hand) -> Result<(), Stop> {
    let lowest = fs::read_to_string("/proc/sys/vm/mmap_min_addr").map_err(io)?;
    if lowest.trim() == "0" {
        return Err(cannot(
            "vm.mmap_min_addr is 0: anybody may map address 0",
            "set it to 65536",
        ));
    }
    let memfd = rustix::fs::memfd_create("sealed", MemfdFlags::ALLOW_SEALING).map_err(io)?;
    rustix::fs::ftruncate(&memfd, page_size() as u64).map_err(io)?;
    rustix::fs::fcntl_add_seals(&memfd, SealFlags::WRITE).map_err(io)?;
    let status = File::open("/proc/self/status").map_err(io)?;
    let sealed = of(memfd.as_raw_fd(), Prot::READ | Prot::WRITE, Sharing::Shared);
    let private_copy = of(memfd.as_raw_fd(), Prot::READ | Prot::WRITE, Sharing::Private);
    let noexec = of(status.as_raw_fd(), Prot::READ | Prot::EXEC, Sharing::Private);
    let at_zero = answers_of(hand, Caller::Nobody, 1, |child| {
        child.tell(Area::ask(&Request {
            place: Place::Free(0),
            ..private(page_size())
        }));
    })?;
    hand.look("after the attempts");
    hand.expect_errno("F_SEAL_WRITE, shared and writable", Errno::EPERM, sealed);
    hand.expect_ok("F_SEAL_WRITE, private and writable", private_copy);
    hand.expect_errno("PROT_EXEC of a file on a noexec mount", Errno::EPERM, noexec);
    for answer in at_zero {
        hand.expect_errno("address 0, fixed, as user 65534", Errno::EPERM, answer);
    }
    Ok(())
}

/// ETXTBSY.
pub(super) const TEXT_BUSY: Experiment = Experiment {
    name: "etxtbsy-of-a-swap-file",
    chapter: Chapter::Errno,
    question: "When does mmap say ETXTBSY?",
    method: "Make a swap file of 1 MiB and swap on it; map it shared and writable, and shared for \
             reading.",
    expectation: "ETXTBSY for the first only.",
    explanation: "The manual page names MAP_DENYWRITE, which has been ignored for decades. What is left \
                  is a file that is swap at this moment: a store would change what the kernel has put \
                  there of other processes. The file of a running program, which the name is about, is \
                  refused earlier, by open for writing.",
    cannot_show: "What a process with an older mapping of the file can still do.",
    source: "mmap(2), ETXTBSY; mm/mmap.c, do_mmap.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/etxtbsy-of-a-swap-file.c"),
    rust: include_str!("../../code/etxtbsy-of-a-swap-file.rs"),
    run: text_busy,
};

fn text_busy(hand: &mut Hand) -> Result<(), Stop> {
    let path = hand.scratch().join("swap");
    fs::write(&path, vec![0; 1 << 20]).map_err(io)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(io)?;
    let file = File::options().read(true).write(true).open(&path).map_err(io)?;
    let made = Command::new("mkswap")
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return Err(cannot("mkswap cannot be run", "install util-linux"));
    }
    file.sync_all().map_err(io)?;
    hand.change(Setting::SwapFile, &path.to_string_lossy())?;
    let page = page_size();
    let writable = Area::ask(&shared(&file, page, Prot::READ | Prot::WRITE));
    let readable = Area::ask(&shared(&file, page, Prot::READ));
    hand.look("while the file is swap");
    hand.expect_errno("shared PROT_READ|PROT_WRITE", Errno::ETXTBSY, writable);
    hand.expect_ok("shared PROT_READ", readable);
    Ok(())
}
