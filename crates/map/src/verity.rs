//! fs-verity (Linux 5.4, on ext4, f2fs and since 5.15 btrfs): files that the kernel never changes again.
//!
//! [`enable`] turns a file into one for ever: its bytes are hashed, and every page read from the disk is
//! checked against the hash, which [`measure`] returns. It proves that bytes do not change, not that they can
//! be had: a page whose hash is wrong is an I/O error, and through a reference SIGBUS. Only answers of file
//! systems whose word is this kernel's own count: a FUSE server may say anything. Source:
//! Documentation/filesystems/fsverity.rst.
#![allow(unsafe_code)]

use crate::diagnosis;
use crate::error::{Error, Feature, Kind};
use crate::file_system;
use crate::operation::Operation;
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, Updater, ioctl};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};

/// The hash that a file is checked with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256.
    Sha256 = 1,
    /// SHA-512.
    Sha512 = 2,
}

/// A file's hash, as fs-verity computes it: of the root of a hash tree, not of the plain bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    bytes: [u8; MOST],
}

impl Digest {
    /// How it was computed.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// 32 or 64 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self.algorithm {
            Algorithm::Sha256 => &self.bytes[..32],
            Algorithm::Sha512 => &self.bytes,
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:", self.algorithm)?;
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

const MOST: usize = 64;

/// struct fsverity_digest with room for the longest digest; the ioctl's number counts its head only.
#[repr(C)]
struct RawDigest {
    algorithm: u16,
    size: u16,
    bytes: [u8; MOST],
}

/// struct fsverity_enable_arg.
#[repr(C)]
struct EnableArg {
    version: u32,
    algorithm: u32,
    block_size: u32,
    salt_size: u32,
    salt: u64,
    signature_size: u32,
    reserved: u32,
    signature: u64,
    more: [u64; 11],
}

const _: () = assert!(size_of::<EnableArg>() == 128);

/// `_IOW('f', 133, struct fsverity_enable_arg)`.
const ENABLE: Opcode = 0x4080_6685;
/// `_IOWR('f', 134, struct fsverity_digest)`.
const MEASURE: Opcode = 0xC004_6686;

/// Makes `file` one that nobody can write to or truncate any more; it can still be renamed and deleted. It
/// is read as a whole. The descriptor must be open for reading only.
///
/// # Errors
/// [`Kind::Unsupported`] on other file systems and kernels, and where the file system was made without it
/// (`tune2fs -O verity`); [`Kind::Busy`]: somebody has it open for writing; [`Kind::AlreadyExists`]: it is
/// one already; [`Kind::AccessDenied`], [`Kind::NotPermitted`], [`Kind::Interrupted`], [`Kind::StorageFull`],
/// [`Kind::Io`].
pub fn enable(file: &impl AsFd, algorithm: Algorithm) -> Result<(), Error> {
    const BLOCK: u32 = 4096;
    let arg = EnableArg {
        version: 1,
        algorithm: u32::from(algorithm as u16),
        block_size: BLOCK,
        salt_size: 0,
        salt: 0,
        signature_size: 0,
        reserved: 0,
        signature: 0,
        more: [0; 11],
    };
    // SAFETY: the number is FS_IOC_ENABLE_VERITY's, whose argument has this layout; the kernel follows no
    // pointer in it, as both sizes are 0. A file of another kind answers ENOTTY: the number is its own.
    let outcome = unsafe { ioctl(file, Setter::<ENABLE, EnableArg>::new(arg)) };
    outcome.map_err(|errno| match errno {
        Errno::TXTBSY => answered(errno, Kind::Busy),
        errno => meaning(errno),
    })
}

/// The hash of an fs-verity file; `None` for every other file.
///
/// # Errors
/// [`Kind::BadDescriptor`], [`Kind::Io`]; [`Kind::Unsupported`] for a hash that this library does not know.
pub fn measure(file: &impl AsFd) -> Result<Option<Digest>, Error> {
    measured(file.as_fd())
}

fn measured(file: BorrowedFd<'_>) -> Result<Option<Digest>, Error> {
    if !file_system::has_verity(Operation::Stat, file)? {
        return Ok(None);
    }
    let mut raw = RawDigest {
        algorithm: 0,
        size: MOST as u16,
        bytes: [0; MOST],
    };
    // SAFETY: the number is FS_IOC_MEASURE_VERITY's: it writes a digest of at most `size` bytes behind the
    // head, and there is room for that many.
    let outcome = unsafe { ioctl(file, Updater::<MEASURE, RawDigest>::new(&mut raw)) };
    match outcome {
        Ok(()) => {}
        Err(Errno::NODATA | Errno::NOTTY | Errno::OPNOTSUPP) => return Ok(None),
        Err(errno) => return Err(meaning(errno)),
    }
    let algorithm = match (raw.algorithm, raw.size) {
        (1, 32) => Algorithm::Sha256,
        (2, 64) => Algorithm::Sha512,
        _ => return Err(Error::found(Operation::Stat, Kind::Unsupported(Feature::Verity))),
    };
    Ok(Some(Digest {
        algorithm,
        bytes: raw.bytes,
    }))
}

fn answered(errno: Errno, kind: Kind) -> Error {
    Error::answered(Operation::Seal, neap_os::errno::Errno(errno.raw_os_error()), kind)
}

fn meaning(errno: Errno) -> Error {
    match errno {
        Errno::NOTTY | Errno::OPNOTSUPP | Errno::NOPKG => answered(errno, Kind::Unsupported(Feature::Verity)),
        errno => diagnosis::of_rustix(Operation::Seal, errno),
    }
}

#[cfg(test)]
mod tests;
