//! [`Options`]: what the user may set, by environment or by mallopt(3).
//!
//! Owns the names, defaults and limits. A value that cannot be understood costs one line on standard
//! error and keeps the default; in secure-execution mode (setuid) the environment is not read at all.

use crate::knob::Knob;
use crate::sync::{AtomicBool, AtomicU8, AtomicUsize, Relaxed};
use neap_abi::Backend;
use neap_os::env;
use neap_os::out::Line;

/// The settings. Those of mallopt may change while the program runs.
pub(crate) struct Options {
    /// Requests from here on, in bytes, become mappings of their own.
    pub(crate) mmap_threshold: Knob<{ 32 << 20 }>,
    /// How many of those there may be at one time.
    pub(crate) mmap_max: Knob<65_536>,
    /// Bytes of dirt that are let lie without a helper; `usize::MAX`: never give back unasked.
    pub(crate) trim_threshold: Knob<{ 1 << 20 }>,
    /// M_PERTURB: 0, or the byte whose complement fills new blocks and which fills freed ones.
    pub(crate) perturb: AtomicU8,
    /// Whether helpers are ruled out.
    pub(crate) helper_off: AtomicBool,
    pub(crate) check: AtomicBool,
}

/// A setting of mallopt(3), in bytes unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    /// Dirt that is let lie without a helper.
    TrimThreshold,
    /// Growth beyond the need.
    TopPad,
    /// Requests from here on become mappings of their own.
    MmapThreshold,
    /// How many of those there may be at one time.
    MmapMax,
    /// The byte that fills freed blocks; its complement fills new ones.
    Perturb,
}

/// What the environment says of the start.
pub(crate) struct Start {
    pub(crate) backend: Backend,
    pub(crate) check: bool,
}

fn complain(name: &str, value: &[u8], wanted: &str) {
    let mut line = Line::new();
    line.text("neap: ").text(name).text("=");
    line.raw(value.get(..64).unwrap_or(value));
    line.text(" is not ")
        .text(wanted)
        .text("; the default is kept\n")
        .emit(2);
}

impl Options {
    pub(crate) const fn new() -> Options {
        Options {
            mmap_threshold: Knob::new(),
            mmap_max: Knob::new(),
            trim_threshold: Knob::new(),
            perturb: AtomicU8::new(0),
            helper_off: AtomicBool::new(false),
            check: AtomicBool::new(false),
        }
    }

    /// Reads `NEAP_BACKEND`, `NEAP_HELPER`, `NEAP_CHECK` and `GLIBC_TUNABLES`. Returns what is
    /// needed at once; `top_pad` goes to `pad`.
    pub(crate) fn read_environment(&self, pad: &AtomicUsize) -> Start {
        let mut start = Start {
            backend: Backend::Mmap,
            check: false,
        };
        if env::secure() {
            return start;
        }
        match env::lookup("NEAP_BACKEND") {
            None | Some(b"mmap" | b"") => {}
            Some(b"brk") => start.backend = Backend::Brk,
            Some(other) => complain("NEAP_BACKEND", other, "mmap or brk"),
        }
        match env::lookup("NEAP_HELPER") {
            None | Some(b"auto" | b"") => {}
            Some(b"off") => self.helper_off.store(true, Relaxed),
            Some(other) => complain("NEAP_HELPER", other, "auto or off"),
        }
        match env::lookup("NEAP_CHECK") {
            None | Some(b"0" | b"") => {}
            Some(b"1") => start.check = true,
            Some(other) => complain("NEAP_CHECK", other, "0 or 1"),
        }
        self.check.store(start.check, Relaxed);
        if let Some(text) = env::lookup("GLIBC_TUNABLES") {
            self.read_tunables(text, pad);
        }
        start
    }

    /// glibc's own settings for malloc, in its form: `glibc.malloc.NAME=VALUE:...`. Others are not
    /// ours to judge, so nothing here is an error.
    fn read_tunables(&self, text: &[u8], pad: &AtomicUsize) {
        for item in text.split(|b| *b == b':') {
            let Some(rest) = item.strip_prefix(b"glibc.malloc.") else {
                continue;
            };
            let Some(at) = rest.iter().position(|b| *b == b'=') else {
                continue;
            };
            let (name, value) = rest.split_at(at);
            let Some(value) = value.get(1..).and_then(env::parse_bytes) else {
                continue;
            };
            match name {
                b"mmap_threshold" => self.mmap_threshold.set(value),
                b"mmap_max" => self.mmap_max.set(value),
                b"trim_threshold" => self.trim_threshold.set(value),
                b"top_pad" => pad.store(value, Relaxed),
                b"perturb" => self.perturb.store((value & 0xff) as u8, Relaxed),
                _ => {}
            }
        }
    }
}
