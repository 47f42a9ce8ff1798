//! Where a report goes.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::failure::Failure;
use crate::report::Screen;

/// A stream or a file.
pub(crate) enum Place {
    Stderr,
    Stdout,
    File(File),
}

impl Place {
    /// Where `--output` says, else `usual`. Opened before the command runs: a path that cannot be written must
    /// not cost a run.
    pub(crate) fn open(output: Option<&Path>, usual: Place) -> Result<Place, Failure> {
        match output {
            None => Ok(usual),
            Some(path) if path == Path::new("-") => Ok(Place::Stdout),
            Some(path) => Place::file(path),
        }
    }

    /// A new file.
    pub(crate) fn file(path: &Path) -> Result<Place, Failure> {
        File::create(path)
            .map(Place::File)
            .map_err(|error| Failure::own(path.display(), error))
    }

    /// What text can look like there.
    pub(crate) fn screen(&self) -> Screen {
        match self {
            Place::Stderr => Screen::of(io::stderr()),
            Place::Stdout => Screen::of(io::stdout()),
            Place::File(_) => Screen::plain(),
        }
    }

    /// Writes a whole report.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Place::Stderr => io::stderr().write_all(bytes),
            Place::Stdout => io::stdout()
                .lock()
                .write_all(bytes)
                .and_then(|()| io::stdout().flush()),
            Place::File(file) => file.write_all(bytes),
        }
    }

    /// Writes a whole report to someone who may have gone: who closed the pipe wants none, and that is no
    /// failure.
    pub(crate) fn deliver(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self.write(bytes) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::own("the report could not be written", error))
            }
            _ => Ok(()),
        }
    }
}
