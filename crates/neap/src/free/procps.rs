//! The numbers of free(1) of procps 4, and how it writes them.
//!
//! All are computed in whole KiB from `/proc/meminfo`, signed: where the kernel counts more free memory than
//! there is, free prints a number below zero for what is used (never for swap), and so does neap. `used` is
//! MemTotal − MemAvailable since procps 4.0.1. Where MemAvailable is missing (before 3.14), 0, or greater
//! than MemTotal (some containers), MemFree stands in for it, as there. A line that is missing counts as 0
//! here, and only here, because free prints 0 for it: neap's own view says `n/a`.

use neap_proc::parse::Meminfo;

/// Total, used and free, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) total: i64,
    pub(crate) used: i64,
    pub(crate) free: i64,
}

/// All that free(1) can print, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) memory: Row,
    pub(crate) shared: i64,
    pub(crate) buffers: i64,
    pub(crate) cache: i64,
    pub(crate) available: i64,
    pub(crate) low: Row,
    pub(crate) high: Row,
    pub(crate) swap: Row,
    /// CommitLimit, Committed_AS, and what is left.
    pub(crate) committed: Row,
}

impl Numbers {
    /// As free computes them.
    pub(crate) fn of(info: &Meminfo) -> Numbers {
        let kib = |line: Option<u64>| i64::try_from(line.unwrap_or(0) / 1024).unwrap_or(i64::MAX);
        let (total, free) = (kib(info.total_bytes), kib(info.free_bytes));
        let available = match info.available_bytes.map(|bytes| kib(Some(bytes))) {
            Some(available) if (1..=total).contains(&available) => available,
            _ => free,
        };
        let swap_total = kib(info.swap_total_bytes);
        let swap_free = kib(info.swap_free_bytes);
        let (limit, committed) = (kib(info.commit_limit_bytes), kib(info.committed_bytes));
        Numbers {
            memory: Row {
                total,
                used: total - available,
                free,
            },
            shared: kib(info.shmem_bytes),
            buffers: kib(info.buffers_bytes),
            cache: kib(info.cached_bytes) + kib(info.slab_reclaimable_bytes),
            available,
            // Every 64-bit machine has low memory only.
            low: Row {
                total,
                used: (total - free).max(0),
                free,
            },
            high: Row {
                total: 0,
                used: 0,
                free: 0,
            },
            swap: Row {
                total: swap_total,
                used: (swap_total - swap_free).max(0),
                free: swap_free,
            },
            committed: Row {
                total: limit,
                used: committed,
                free: limit - committed,
            },
        }
    }

    /// Memory and swap together.
    pub(crate) fn sum(&self) -> Row {
        Row {
            total: self.memory.total + self.swap.total,
            used: self.memory.used + self.swap.used,
            free: self.memory.free + self.swap.free,
        }
    }
}

/// What one number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Bytes.
    Bytes,
    /// So many times 1024 bytes to the power of this, at least 1.
    Binary(u32),
    /// So many times 1000 bytes to the power of this, at least 1.
    Decimal(u32),
    /// The first unit in which it is short, with the unit's name.
    Human(Base),
}

/// What units are powers of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Binary,
    Decimal,
}

impl Scale {
    /// `kib` as free prints it.
    pub(crate) fn text(self, kib: i64) -> String {
        let bytes = i128::from(kib) * 1024;
        match self {
            Scale::Bytes => bytes.to_string(),
            Scale::Binary(power) => (bytes / 1024_i128.pow(power)).to_string(),
            Scale::Decimal(power) => (bytes / 1000_i128.pow(power)).to_string(),
            Scale::Human(base) => human(bytes, base),
        }
    }
}

/// At most four characters, five with the `i`: with one decimal if that fits, without, else the next unit.
fn human(bytes: i128, base: Base) -> String {
    let (step, mark, room) = match base {
        Base::Binary => (1024.0, "i", 5),
        Base::Decimal => (1000.0, "", 4),
    };
    let plain = format!("{bytes}B");
    if plain.len() <= 4 {
        return plain;
    }
    #[allow(clippy::cast_precision_loss, reason = "free's own arithmetic is of floats")]
    let mut value = bytes as f64;
    let mut last = plain;
    for unit in ["K", "M", "G", "T", "P"] {
        value /= step;
        // Free keeps the quotient as a float of 32 bits, which decides how some ties are rounded.
        #[allow(clippy::cast_possible_truncation, reason = "as above")]
        let single = value as f32;
        last = format!("{single:.1}{unit}{mark}");
        if last.len() <= room {
            return last;
        }
        last = format!("{:.0}{unit}{mark}", value.trunc() + 0.0);
        if last.len() <= room {
            return last;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_free() {
        let info = Meminfo::parse(include_bytes!(
            "../../../proc/tests/fixtures/linux-4.4/proc/meminfo"
        ));
        let numbers = Numbers::of(&info);
        assert_eq!(
            (numbers.memory.total, numbers.memory.used, numbers.memory.free),
            (4_045_112, 1_233_548, 182_340)
        );
        assert_eq!((numbers.buffers, numbers.cache), (210_988, 2_659_456));
        assert_eq!(numbers.sum().total, 8_236_340);
    }

    #[test]
    fn without_available_memory_free_stands_in() {
        let none = Numbers::of(&Meminfo::parse(b"MemTotal: 1000 kB\nMemFree: 200 kB\n"));
        assert_eq!((none.available, none.memory.used), (200, 800));
        let more = b"MemTotal: 1000 kB\nMemFree: 200 kB\nMemAvailable: 1500 kB\n";
        assert_eq!(Numbers::of(&Meminfo::parse(more)).available, 200);
        let odd = Numbers::of(&Meminfo::parse(b"MemTotal: 100 kB\nMemFree: 200 kB\n"));
        assert_eq!((odd.memory.used, odd.low.used), (-100, 0));
    }

    #[test]
    fn sizes_are_as_short_as_there() {
        let human = |kib| Scale::Human(Base::Binary).text(kib);
        assert_eq!(
            [0, 9, 999, 1023, 1108, 10_000, 1_048_575, 24_684_092].map(human),
            ["0B", "9.0Ki", "999Ki", "1.0Mi", "1.1Mi", "9.8Mi", "1.0Gi", "23Gi"]
        );
        let si = |kib| Scale::Human(Base::Decimal).text(kib);
        assert_eq!([1, 1108, 24_684_092].map(si), ["1.0K", "1.1M", "25G"]);
        assert_eq!(Scale::Binary(2).text(24_684_092), "24105");
        assert_eq!(Scale::Decimal(2).text(24_684_092), "25276");
        assert_eq!(Scale::Bytes.text(1), "1024");
    }
}
