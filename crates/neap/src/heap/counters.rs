//! The counters of a heap: from the board of `neap run`, else from the page that the process keeps to itself.
//!
//! The board can be read where the process's memory cannot: it is a file of the `neap run` that made it. Which
//! page of it is the process's tells the mapping, and that it is the same file its inode.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use neap_abi::anatomy::Field;
use neap_abi::{ENV_BOARD, NotAPage, PAGE_BYTES, Snapshot, VERSION};
use neap_proc::parse::{Mapping, Name};

use super::memory::Memory;
use super::{Inside, Why};

impl Inside {
    /// The counters. Live, large and direct blocks and dirt are those of the heap's last count, which without a
    /// board it makes when it gives back; address space, records, threads, calls and totals are of now.
    ///
    /// # Errors
    /// [`Why`].
    pub(crate) fn counters(&self) -> Result<Snapshot, Why> {
        match self.on_board() {
            Some(snapshot) => Ok(snapshot),
            None => self.of_its_own(),
        }
    }

    fn on_board(&self) -> Option<Snapshot> {
        let mapping = self.maps.mappings.iter().find(|mapping| is_board(mapping))?;
        let file = self.open_board(mapping)?;
        let mut bytes = [0; PAGE_BYTES];
        file.read_exact_at(&mut bytes, mapping.offset).ok()?;
        Snapshot::parse(&bytes).ok()
    }

    fn open_board(&self, mapping: &Mapping) -> Option<File> {
        let named = std::fs::read(format!("/proc/{}/environ", self.pid)).ok()?;
        let name = named
            .split(|&byte| byte == 0)
            .find_map(|line| line.strip_prefix(ENV_BOARD.as_bytes())?.strip_prefix(b"="))?;
        let name = std::str::from_utf8(name)
            .ok()
            .filter(|name| is_descriptor(name))?;
        let file = File::open(name).ok()?;
        (file.metadata().ok()?.ino() == mapping.inode).then_some(file)
    }

    fn of_its_own(&self) -> Result<Snapshot, Why> {
        let memory = self.memory()?;
        let Some(layout) = self.layout()? else {
            return Err(Why::Failed("its program has not begun".to_owned()));
        };
        let shared = layout.word(memory, Field::SharedPage).unwrap_or(0);
        let page = if shared == 0 {
            layout.address(Field::OwnPage)
        } else {
            shared
        };
        let mut bytes = [0; PAGE_BYTES];
        let counted = bytes.get_mut(..size_of::<neap_abi::Page>()).unwrap_or_default();
        if !memory.read(page, counted) {
            return Err(memory.failure());
        }
        if shared == 0 {
            // A page that is nobody's but the process's own has no head.
            let backend = layout.half(memory, Field::Backend).unwrap_or(0);
            for (word, value) in [
                (0, neap_abi::MAGIC),
                (1, VERSION),
                (2, u64::from(self.pid)),
                (4, u64::from(backend)),
            ] {
                if let Some(word) = bytes.as_chunks_mut::<8>().0.get_mut(word) {
                    *word = value.to_ne_bytes();
                }
            }
        }
        Snapshot::parse(&bytes).map_err(|why| match why {
            NotAPage::Version(version) => Why::Version(u32::try_from(version).unwrap_or(u32::MAX)),
            other => Why::Failed(format!("its counters: {other}")),
        })
    }
}

/// `/proc/PID/fd/N`, and nothing that opening would do something to.
fn is_descriptor(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.strip_prefix("/proc/")
        .and_then(|rest| rest.split_once("/fd/"))
        .is_some_and(|(pid, descriptor)| number(pid) && number(descriptor))
}

fn is_board(mapping: &Mapping) -> bool {
    let named = matches!(&mapping.name, Name::File { path, .. } if path.contains("memfd:neap-board"));
    // Page 0 is the directory.
    named && mapping.shared && mapping.offset != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_descriptor_is_opened() {
        assert!(is_descriptor("/proc/12/fd/3"));
        for other in [
            "/proc/12/fd/",
            "/proc/self/fd/3",
            "/dev/tty",
            "/proc/1/fd/3/x",
            "proc/1/fd/3",
        ] {
            assert!(!is_descriptor(other), "{other}");
        }
    }
}
