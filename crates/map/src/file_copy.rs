//! The contents of one file into another, inside the kernel where it can.
//!
//! Not a moment of the file: what others write meanwhile is in the copy or is not.

use crate::diagnosis;
use crate::error::{Error, Kind};
use crate::operation::Operation;
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// Copies the first `len` bytes of `from` to the start of `to`, whose offset is moved.
///
/// # Errors
/// [`Kind::FileTooShort`]: `from` has fewer bytes now. [`Kind::StorageFull`], [`Kind::Io`].
pub(crate) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>, len: u64) -> Result<(), Error> {
    let (mut read, mut written) = (0, 0);
    // Not every pair of files can: another file system, a file of /proc.
    while written < len {
        let step = usize::try_from(len - written).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(from, Some(&mut read), to, Some(&mut written), step) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(
                Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::BADF | Errno::TXTBSY,
            ) => {
                break;
            }
            Err(errno) => return Err(failed(errno, written, len)),
        }
    }
    through_memory(from, to, written, len)
}

/// The rest from `done` on through a buffer.
fn through_memory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, mut done: u64, len: u64) -> Result<(), Error> {
    const STEP: usize = 128 << 10;
    if done == len {
        return Ok(());
    }
    let mut buffer = vec![0; STEP];
    while done < len {
        let want = usize::try_from(len - done).unwrap_or(STEP).min(STEP);
        let got = match rustix::io::pread(from, &mut buffer[..want], done) {
            Ok(0) => {
                return Err(Error::found(Operation::Copy, Kind::FileTooShort).at(done, len - done));
            }
            Ok(got) => got,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(failed(errno, done, len)),
        };
        let mut bytes = &buffer[..got];
        while !bytes.is_empty() {
            match rustix::io::pwrite(to, bytes, done) {
                Ok(more) => {
                    bytes = &bytes[more..];
                    done += more as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed(errno, done, len)),
            }
        }
    }
    Ok(())
}

fn failed(errno: Errno, done: u64, len: u64) -> Error {
    diagnosis::of_rustix(Operation::Copy, errno).at(done, len - done)
}
