//! A report as JSON, pretty enough to read and to diff.

use serde::Serialize;

/// Newline at the end. Reports hold nothing that JSON cannot.
pub(crate) fn bytes(report: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(report).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
