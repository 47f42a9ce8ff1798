//! How far it is, on standard error where that is a terminal: files and bytes.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::unit;

/// A bar, or nothing.
pub(crate) struct Progress {
    bar: ProgressBar,
    files: Cell<u64>,
    /// `None`: they are not known beforehand.
    whole: Option<Whole>,
}

/// What there is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Progress {
    /// Whether anybody would see a bar.
    pub(crate) fn is_seen() -> bool {
        std::io::stderr().is_terminal()
    }

    /// A bar where it is seen; with the whole a share of it is drawn.
    pub(crate) fn new(whole: Option<Whole>) -> Progress {
        let target = if Progress::is_seen() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let (bar, template) = match whole {
            Some(whole) => (
                ProgressBar::with_draw_target(Some(whole.bytes), target),
                "{bar:24} {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta}  {wide_msg}",
            ),
            None => (
                ProgressBar::with_draw_target(None, target),
                "{spinner} {binary_bytes}  {wide_msg}",
            ),
        };
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Progress {
            bar,
            files: Cell::new(0),
            whole,
        }
    }

    /// One more file is begun.
    pub(crate) fn next_file(&self, path: &Path) {
        self.files.set(self.files.get() + 1);
        if self.bar.is_hidden() {
            return;
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
        let of = self
            .whole
            .map_or_else(String::new, |whole| format!("/{}", unit::count(whole.files)));
        self.bar
            .set_message(format!("{}{of} files  {name}", unit::count(self.files.get())));
    }

    /// So many bytes are done with.
    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
