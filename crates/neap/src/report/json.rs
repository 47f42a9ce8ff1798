//! A report as JSON, pretty enough to read and to diff.

use std::io::{self, Write};

use super::Report;

pub(crate) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    out.write_all(b"\n")
}
