//! [`Input`]: the file that is mapped, read and scanned, and a folder for those that are written.

use super::Effort;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// See the module. The folder goes with it.
pub(crate) struct Input {
    folder: PathBuf,
    len: u64,
    effort: Effort,
}

impl Input {
    /// Writes the file: 2 GiB of words that do not repeat.
    pub(crate) fn make(folder: &Path, effort: Effort) -> Result<Input, String> {
        let len = match effort {
            Effort::Quick => 128 << 20,
            Effort::Full => 2 << 30,
        };
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let input = Input {
            folder: folder.to_owned(),
            len,
            effort,
        };
        input
            .write()
            .map_err(|e| format!("{}: {e}", input.path().display()))?;
        Ok(input)
    }

    fn write(&self) -> std::io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(self.path())?);
        let mut word = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..self.len / 8 {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            out.write_all(&word.to_le_bytes())?;
        }
        // Clean pages can be dropped from the cache; dirty ones cannot.
        out.into_inner()?.sync_all()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("words")
    }

    /// Where a contender may write.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn open(&self) -> Result<File, String> {
        File::open(self.path()).map_err(|e| format!("{}: {e}", self.path().display()))
    }

    /// Bytes of the file.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// `full`, or a part of it that suffices to see whether it works.
    pub(crate) const fn scaled(&self, full: u64) -> u64 {
        match self.effort {
            Effort::Quick => full.div_ceil(16),
            Effort::Full => full,
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Drops the file's pages from the cache, and makes sure that they went: pages that are mapped stay.
pub(crate) fn evict(file: &File) -> Result<(), String> {
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed).map_err(|e| format!("fadvise: {e}"))?;
    let left = neap_map::CacheStat::of(file, ..)
        .map_err(|e| e.to_string())?
        .cached();
    let len = file.metadata().map_err(|e| e.to_string())?.len();
    // A folio that somebody looked at in this moment may stay.
    if left > len / 100 {
        return Err(format!("{left} bytes stayed in the page cache"));
    }
    Ok(())
}
