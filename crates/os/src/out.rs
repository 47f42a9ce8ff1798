//! [`Line`]: a message built without allocating and written with one call. [`abort`]: the end.
//!
//! For the few things an allocator must say. Never calls into stdio, never blocks on a lock, never
//! changes `errno`. What does not fit is cut and marked.
#![allow(unsafe_code)]

use crate::errno::Errno;
use crate::syscall::{Call, syscall3, syscall4};

/// A line's capacity in bytes, the line feed included.
pub const LINE_BYTES: usize = 512;

/// What a cut line ends with; room for it is kept.
const CUT: &[u8] = b"...\n";

/// One message under construction.
///
/// ```
/// neap_os::out::Line::new().text("neap: ").dec(3).text(" slabs at ").hex(0x7f00).text("\n").emit(2);
/// ```
pub struct Line {
    buffer: [u8; LINE_BYTES],
    len: usize,
    cut: bool,
}

impl Default for Line {
    fn default() -> Line {
        Line::new()
    }
}

impl Line {
    /// An empty line.
    #[must_use]
    pub const fn new() -> Line {
        Line {
            buffer: [0; LINE_BYTES],
            len: 0,
            cut: false,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match self.buffer.get_mut(self.len) {
                Some(place) if !self.cut && self.len < LINE_BYTES - CUT.len() => *place = byte,
                _ => {
                    self.cut = true;
                    return;
                }
            }
            self.len += 1;
        }
    }

    /// Adds text.
    #[inline(never)]
    pub fn text(&mut self, text: &str) -> &mut Line {
        self.push(text.as_bytes());
        self
    }

    /// Adds bytes of unknown origin: printable ASCII as it is, the rest as `?`.
    #[inline(never)]
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Line {
        for &byte in bytes {
            let shown = if byte == b' ' || byte.is_ascii_graphic() {
                byte
            } else {
                b'?'
            };
            self.push(&[shown]);
        }
        self
    }

    fn number(&mut self, mut value: u64, radix: u64) {
        // 20 digits hold u64::MAX in decimal.
        let mut digits = [0u8; 20];
        let mut first = digits.len();
        for place in digits.iter_mut().rev() {
            *place = b"0123456789abcdef"
                .get((value % radix) as usize)
                .copied()
                .unwrap_or(b'?');
            first -= 1;
            value /= radix;
            if value == 0 {
                break;
            }
        }
        self.push(digits.get(first..).unwrap_or(&[]));
    }

    /// Adds a decimal number.
    #[inline(never)]
    pub fn dec(&mut self, value: u64) -> &mut Line {
        self.number(value, 10);
        self
    }

    /// Adds a hexadecimal number with `0x`.
    #[inline(never)]
    pub fn hex(&mut self, value: usize) -> &mut Line {
        self.text("0x").number(value as u64, 16);
        self
    }

    /// Adds a length in bytes with the largest binary unit that keeps it at 1 or more, to one decimal
    /// place, rounded down: `512 B`, `1.5 MiB`.
    #[inline(never)]
    pub fn bytes(&mut self, bytes: usize) -> &mut Line {
        let (shift, unit) = match bytes {
            0..0x400 => return self.dec(bytes as u64).text(" B"),
            0x400..0x10_0000 => (10, " KiB"),
            0x10_0000..0x4000_0000 => (20, " MiB"),
            0x4000_0000..0x100_0000_0000 => (30, " GiB"),
            _ => (40, " TiB"),
        };
        // The fraction is below 2^40, so ten times it fits.
        let tenths = ((bytes & ((1 << shift) - 1)) * 10) >> shift;
        self.dec((bytes >> shift) as u64)
            .text(".")
            .dec(tenths as u64)
            .text(unit)
    }

    /// Adds an error by name, or by number if it has none.
    #[inline(never)]
    pub fn errno(&mut self, errno: Errno) -> &mut Line {
        match errno.name() {
            Some(name) => self.text(name),
            None => self.text("errno ").dec(u64::from(errno.0.unsigned_abs())),
        }
    }

    /// The bytes so far; a cut line ends with `...` and a line feed.
    #[must_use]
    pub fn as_bytes(&mut self) -> &[u8] {
        let mut len = self.len;
        if self.cut {
            for &byte in CUT {
                if let Some(place) = self.buffer.get_mut(len) {
                    *place = byte;
                    len += 1;
                }
            }
        }
        self.buffer.get(..len).unwrap_or(&[])
    }

    /// Writes the line to `fd` as [`Line::try_emit`] does. An error is dropped: there is nowhere to tell it.
    pub fn emit(&mut self, fd: i32) {
        let _ = self.try_emit(fd);
    }

    /// Writes the line to `fd` with one write(2), tried again only when a signal interrupts it. A pipe
    /// takes it in one piece, because it is shorter than PIPE_BUF.
    ///
    /// # Errors
    /// write(2)'s: `EBADF`, `EAGAIN`, `EPIPE`, `ENOSPC`, `EIO`. A partial write is no error.
    pub fn try_emit(&mut self, fd: i32) -> Result<(), Errno> {
        let bytes = self.as_bytes();
        let (address, len) = (bytes.as_ptr().expose_provenance(), bytes.len());
        // The kernel takes a descriptor as 32 bits; a negative one stays invalid.
        let fd = fd.cast_unsigned() as usize;
        loop {
            // SAFETY: (1) write only reads the `len` bytes at `address`, which `self` keeps alive.
            match unsafe { syscall3(Call::WRITE, fd, address, len) } {
                Err(Errno::EINTR) => {}
                outcome => return outcome.map(|_| ()),
            }
        }
    }
}

#[link(name = "c")]
unsafe extern "C" {
    #[link_name = "abort"]
    fn libc_abort() -> !;
}

/// Ends the process by SIGABRT, with a core where those are on. A handler the program installed runs
/// first. Unblocks the signal, so it works in a helper thread too.
pub fn abort() -> ! {
    const SIG_UNBLOCK: usize = 1;
    let abort_signal = 1u64 << (6 - 1);
    // SAFETY: (1) rt_sigprocmask reads 8 bytes (the kernel's signal set) from a live u64 and changes
    // this thread's mask only; libc's abort has no conditions.
    unsafe {
        let set = (&raw const abort_signal).expose_provenance();
        let _ = syscall4(Call::RT_SIGPROCMASK, SIG_UNBLOCK, set, 0, 8);
        libc_abort()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn shown(build: impl FnOnce(&mut Line)) -> String {
        let mut line = Line::new();
        build(&mut line);
        String::from_utf8(line.as_bytes().into()).unwrap()
    }

    #[test]
    fn numbers() {
        assert_eq!(
            shown(|l| _ = l.dec(0).text(" ").dec(u64::MAX)),
            "0 18446744073709551615"
        );
        assert_eq!(
            shown(|l| _ = l.hex(0).text(" ").hex(usize::MAX)),
            "0x0 0xffffffffffffffff"
        );
    }

    #[test]
    fn lengths() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1023.9 KiB"),
            (3 << 20, "3.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (1 << 40, "1.0 TiB"),
            (usize::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(shown(|l| _ = l.bytes(bytes)), text);
        }
    }

    #[test]
    fn errors_and_unknown_bytes() {
        assert_eq!(
            shown(|l| _ = l.errno(Errno::ENOMEM).text(" ").errno(Errno(4000))),
            "ENOMEM errno 4000"
        );
        assert_eq!(shown(|l| _ = l.raw(b"a b\n\x1b[0m\xff")), "a b??[0m?");
    }

    #[test]
    fn a_long_line_is_cut_and_ends_with_a_line_feed() {
        for extra in 0..12 {
            let text = "x".repeat(LINE_BYTES - CUT.len() - 4 + extra);
            let line = shown(|l| _ = l.text(&text).text("\n"));
            assert!(line.ends_with('\n') && line.len() <= LINE_BYTES);
            assert_eq!(line.ends_with("...\n"), extra >= 4, "{extra}");
        }
        let cut = shown(|l| _ = l.text(&"y".repeat(5000)).text("more").dec(7));
        assert_eq!(cut.len(), LINE_BYTES);
    }

    #[test]
    fn emit_writes_once_and_reports() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&writer);
        Line::new().text("hello ").dec(1).text("\n").try_emit(fd).unwrap();
        drop(writer);
        assert_eq!(std::io::read_to_string(&mut reader).unwrap(), "hello 1\n");
        assert_eq!(Line::new().try_emit(-1), Err(Errno::EBADF));
    }

    #[test]
    fn abort_is_sigabrt_even_when_blocked() {
        let end = crate::child::end_of_child(|| {
            let all = u64::MAX;
            // SAFETY: (1) as in `abort`; SIG_BLOCK is 0.
            unsafe {
                syscall4(
                    Call::RT_SIGPROCMASK,
                    0,
                    (&raw const all).expose_provenance(),
                    0,
                    8,
                )
            }
            .unwrap();
            abort()
        });
        assert_eq!(end, Err(6));
    }
}
