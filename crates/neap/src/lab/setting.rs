//! [`Setting`]: a setting of the whole system that an experiment may change.
//!
//! Owns reading, writing and restoring. Nothing here decides that a change is allowed: that is the user's
//! `--allow-system`. Only the guardian writes.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

macro_rules! settings {
    ($($variant:ident $name:literal $path:literal;)*) => {
        /// A setting, by the file that it is.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Setting {
            $(#[doc = concat!("`", $path, "`.")] $variant,)*
            /// Swap on the compressed memory device `/dev/zram0`: the value is its size, such as `256M`.
            ZramSwap,
            /// Swap on a file: the value is its path.
            SwapFile,
        }

        impl Setting {
            /// Every one.
            pub(crate) const ALL: &[Setting] = &[$(Setting::$variant,)* Setting::ZramSwap, Setting::SwapFile];

            /// A name without blanks.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Setting::$variant => $name,)*
                    Setting::ZramSwap => "zram-swap",
                    Setting::SwapFile => "swap-file",
                }
            }

            /// The file, if it is one.
            const fn path(self) -> Option<&'static str> {
                match self {
                    $(Setting::$variant => Some($path),)*
                    Setting::ZramSwap | Setting::SwapFile => None,
                }
            }
        }
    };
}

settings! {
    HugePages2M "nr_hugepages-2M" "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    HugePages1G "nr_hugepages-1G" "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages";
    OvercommitMemory "vm.overcommit_memory" "/proc/sys/vm/overcommit_memory";
    OvercommitRatio "vm.overcommit_ratio" "/proc/sys/vm/overcommit_ratio";
    MaxMapCount "vm.max_map_count" "/proc/sys/vm/max_map_count";
    FileMax "fs.file-max" "/proc/sys/fs/file-max";
    KsmRun "ksm-run" "/sys/kernel/mm/ksm/run";
    KsmPagesToScan "ksm-pages_to_scan" "/sys/kernel/mm/ksm/pages_to_scan";
    KsmSleep "ksm-sleep_millisecs" "/sys/kernel/mm/ksm/sleep_millisecs";
    HugeEnabled "transparent_hugepage-enabled" "/sys/kernel/mm/transparent_hugepage/enabled";
    HugeShmem "transparent_hugepage-shmem" "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
    DropCaches "vm.drop_caches" "/proc/sys/vm/drop_caches";
}

/// The folder below which the files of settings are: that of the system, or a test's.
#[derive(Debug)]
pub(crate) struct Root(PathBuf);

impl Root {
    /// `/`.
    pub(crate) fn system() -> Root {
        Root(PathBuf::from("/"))
    }

    /// Another folder, with files as the kernel has them.
    #[cfg(test)]
    pub(crate) fn at(folder: &std::path::Path) -> Root {
        Root(folder.to_owned())
    }

    fn file(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }
}

const ZRAM: &str = "/dev/zram0";
const ZRAM_SYS: &str = "/sys/block/zram0";

impl Setting {
    /// By its name.
    pub(crate) fn named(name: &str) -> Option<Setting> {
        Setting::ALL
            .iter()
            .copied()
            .find(|setting| setting.name() == name)
    }

    /// What it is now on the running system, in the words in which it is set.
    pub(crate) fn now(self) -> io::Result<String> {
        self.now_in(&Root::system())
    }

    /// What it is now.
    pub(crate) fn now_in(self, root: &Root) -> io::Result<String> {
        match self {
            Setting::ZramSwap => Ok(if is_swap(root, ZRAM)? { "on" } else { "off" }.to_owned()),
            // What was dropped from the caches comes back by itself; swap files come one by one.
            Setting::DropCaches | Setting::SwapFile => Ok("off".to_owned()),
            _ => {
                fs::read_to_string(root.file(self.path().unwrap_or_default())).map(|text| chosen(text.trim()))
            }
        }
    }

    /// Sets it.
    pub(crate) fn set(self, root: &Root, value: &str) -> io::Result<()> {
        match self {
            Setting::ZramSwap => zram_on(root, value),
            Setting::SwapFile => run("swapon", &[value]),
            _ => fs::write(root.file(self.path().unwrap_or_default()), value),
        }
    }

    /// Makes it again what it was before `value` was set.
    pub(crate) fn restore(self, root: &Root, old: &str, value: &str) -> io::Result<()> {
        match self {
            Setting::DropCaches => Ok(()),
            Setting::ZramSwap if old == "off" => {
                if is_swap(root, ZRAM)? {
                    run("swapoff", &[ZRAM])?;
                }
                fs::write(root.file(ZRAM_SYS).join("reset"), "1")
            }
            Setting::ZramSwap => Ok(()),
            Setting::SwapFile if is_swap(root, value)? => run("swapoff", &[value]),
            Setting::SwapFile => Ok(()),
            _ => fs::write(root.file(self.path().unwrap_or_default()), old),
        }
    }
}

/// The word in brackets of `always [madvise] never`; another text as it is.
fn chosen(text: &str) -> String {
    text.split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or(text, |(word, _)| word)
        .to_owned()
}

fn is_swap(root: &Root, path: &str) -> io::Result<bool> {
    let swaps = fs::read_to_string(root.file("/proc/swaps"))?;
    Ok(swaps
        .lines()
        .skip(1)
        .any(|line| line.split_whitespace().next() == Some(path)))
}

fn zram_on(root: &Root, size: &str) -> io::Result<()> {
    let device = root.file(ZRAM_SYS);
    if is_swap(root, ZRAM)? {
        return Err(io::Error::other("it is in use already"));
    }
    if fs::read_to_string(device.join("disksize"))?.trim() != "0" {
        return Err(io::Error::other(
            "the device has a size already: somebody uses it",
        ));
    }
    fs::write(device.join("disksize"), size)?;
    let made = run("mkswap", &[ZRAM]).and_then(|()| run("swapon", &["-p5", ZRAM]));
    if made.is_err() {
        let _ = fs::write(device.join("reset"), "1");
    }
    made
}

fn run(program: &str, arguments: &[&str]) -> io::Result<()> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = command.status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{program}: {status}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_their_settings_and_have_no_blanks() {
        for setting in Setting::ALL {
            assert_eq!(Setting::named(setting.name()), Some(*setting));
            assert!(!setting.name().contains(char::is_whitespace));
        }
        assert_eq!(Setting::named("vm.nothing"), None);
    }

    #[test]
    fn the_word_in_brackets_is_the_value() {
        assert_eq!(chosen("always [madvise] never"), "madvise");
        assert_eq!(chosen("65530"), "65530");
    }
}
