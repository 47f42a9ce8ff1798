//! `/proc/PID/statm`: the sizes of one process in a single row, the cheapest file there is.

use super::{Malformed, lines};

/// The row, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statm {
    /// Address space (VmSize).
    pub size_bytes: u64,
    /// Resident set (VmRSS).
    pub resident_bytes: u64,
    /// Resident pages of files and shared memory (RssFile + RssShmem).
    pub shared_bytes: u64,
    /// Code.
    pub text_bytes: u64,
    /// Data and stack.
    pub data_bytes: u64,
}

impl Statm {
    /// Reads the row; the kernel counts in pages of `page_bytes`.
    ///
    /// # Errors
    /// [`Malformed`] when a column is missing, no number, or too large.
    pub fn parse(bytes: &[u8], page_bytes: u64) -> Result<Statm, Malformed> {
        let mut columns = lines::words(bytes);
        let mut next = |field| {
            let pages = columns.next().and_then(lines::number);
            pages
                .and_then(|pages| pages.checked_mul(page_bytes))
                .ok_or(Malformed { field })
        };
        let size_bytes = next("size")?;
        let resident_bytes = next("resident")?;
        let shared_bytes = next("shared")?;
        let text_bytes = next("text")?;
        next("lib")?;
        let data_bytes = next("data")?;
        Ok(Statm {
            size_bytes,
            resident_bytes,
            shared_bytes,
            text_bytes,
            data_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_comes_out_in_bytes() {
        let statm = Statm::parse(b"1404 432 381 5 0 99 0\n", 4096).unwrap();
        assert_eq!(
            (statm.size_bytes, statm.resident_bytes),
            (1404 * 4096, 432 * 4096)
        );
        assert_eq!(
            (statm.shared_bytes, statm.text_bytes, statm.data_bytes),
            (381 * 4096, 5 * 4096, 99 * 4096)
        );
    }

    #[test]
    fn a_missing_column_is_named() {
        assert_eq!(
            Statm::parse(b"1404 432\n", 4096),
            Err(Malformed { field: "shared" })
        );
        assert_eq!(Statm::parse(b"", 4096), Err(Malformed { field: "size" }));
        assert_eq!(
            Statm::parse(b"18446744073709551615", 4096),
            Err(Malformed { field: "size" })
        );
    }
}
