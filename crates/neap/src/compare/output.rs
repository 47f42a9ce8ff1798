//! What a run writes: counted, hashed, its end kept, and passed on when the user wants to see it.
//!
//! Both streams are pipes that the loop of [`super::trial`] empties; nothing here waits.

use std::collections::VecDeque;
use std::hash::Hasher;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Stdio;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use siphasher::sip::SipHasher13;

/// Bytes of a stream's end that are kept.
const TAIL_BYTES: usize = 8192;
/// Bytes taken from a pipe at a time: what a pipe holds.
const PIECE_BYTES: usize = 65536;

/// Pieces that may lie in a pipe after the last writer ended: 1 MiB at most (pipe-max-size).
const PIECES_LEFT: usize = 16;

/// Where a stream goes besides being counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    Nowhere,
    Stdout,
    Stderr,
}

/// One stream of a run.
pub(crate) struct Stream {
    pipe: PipeReader,
    open: bool,
    pass: Pass,
    written: Written,
    hasher: SipHasher13,
}

/// What came out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    /// SipHash of all of them.
    pub(crate) hash: u64,
    /// The last of them.
    pub(crate) tail: VecDeque<u8>,
}

impl Written {
    /// The end as text.
    pub(crate) fn text(&self) -> String {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Stream {
    /// A stream and the end that the command is to write to.
    pub(crate) fn new(pass: Pass) -> io::Result<(Stream, Stdio)> {
        let (pipe, writer) = io::pipe()?;
        fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
        let stream = Stream {
            pipe,
            open: true,
            pass,
            written: Written::default(),
            hasher: SipHasher13::new(),
        };
        Ok((stream, Stdio::from(writer)))
    }

    /// Somebody may still write.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Takes what is there, at most so many pieces: the clock must not wait for one who writes without end.
    pub(crate) fn take(&mut self, pieces: usize) {
        let mut piece = [0; PIECE_BYTES];
        for _ in 0..pieces {
            match self.pipe.read(&mut piece) {
                Ok(0) => {
                    self.open = false;
                    return;
                }
                Ok(count) => self.keep(piece.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.open = error.kind() == io::ErrorKind::WouldBlock;
                    return;
                }
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
        self.written.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        let tail = &mut self.written.tail;
        tail.extend(bytes.iter().skip(bytes.len().saturating_sub(TAIL_BYTES)));
        let excess = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..excess);
        // A reader of neap's own output that has gone is no reason to end the measurement.
        let _ = match self.pass {
            Pass::Nowhere => Ok(()),
            Pass::Stdout => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
            Pass::Stderr => io::stderr().write_all(bytes),
        };
    }

    /// The last of it: what lies in the pipe now.
    pub(crate) fn finish(mut self) -> Written {
        self.take(PIECES_LEFT);
        self.written.hash = self.hasher.finish();
        self.written
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// A child that another test starts at this moment holds every descriptor until it executes.
    fn to_its_end(stream: &mut Stream) {
        let start = std::time::Instant::now();
        while stream.is_open() {
            assert!(start.elapsed().as_secs() < 60, "the stream never ends");
            stream.take(4);
            std::thread::yield_now();
        }
    }

    fn written(script: &str) -> Written {
        let (mut stream, writer) = Stream::new(Pass::Nowhere).unwrap();
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdout(writer)
            .spawn()
            .unwrap();
        to_its_end(&mut stream);
        child.wait().unwrap();
        stream.finish()
    }

    #[test]
    fn equal_bytes_have_one_hash_however_they_are_cut() {
        let (one, two) = (
            written("printf abcdef"),
            written("printf abc; sleep 0.02; printf def"),
        );
        assert_eq!((one.bytes, one.text().as_str()), (6, "abcdef"));
        assert_eq!(one, two);
        assert_ne!(one.hash, written("printf abcdeg").hash);
    }

    #[test]
    fn of_much_output_the_end_is_kept() {
        let written = written("head -c 300000 /dev/zero; printf end");
        assert_eq!((written.bytes, written.tail.len()), (300_003, TAIL_BYTES));
        assert!(written.text().ends_with("\0end"));
    }

    #[test]
    fn nobody_writing_now_is_not_the_end() {
        let (mut stream, writer) = Stream::new(Pass::Nowhere).unwrap();
        stream.take(1);
        assert!(stream.is_open());
        drop(writer);
        to_its_end(&mut stream);
    }
}
