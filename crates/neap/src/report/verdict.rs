//! The verdict: one sentence about a run.
//!
//! The share given back is (peak − final) / (peak − first) of the summed RSS: of what the program grew by,
//! how much had left it when it ended. First is the first reading after exec, final the last one before the
//! end. A program that grew by less than [`GROWTH_FLOOR_BYTES`] has no share: noise would decide it.

use crate::unit;

/// Growth below this is start-up: the C library, the interpreter, the first pages of a heap.
pub(crate) const GROWTH_FLOOR_BYTES: u64 = 4 << 20;
/// Below this share the sentence tells what the rest was.
const REST_SHARE: f64 = 0.5;

/// What the sentence is made from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) peak_bytes: Option<u64>,
    pub(crate) peak_at: PeakAt,
    pub(crate) peak_below_bytes: Option<u64>,
    pub(crate) first_bytes: Option<u64>,
    pub(crate) final_bytes: Option<u64>,
    /// Live bytes at the last reading.
    pub(crate) live_bytes: Option<u64>,
    pub(crate) killed_by: Option<String>,
    pub(crate) limit: Option<Limit>,
    /// Some process took a page of the board.
    pub(crate) served: bool,
    pub(crate) command: String,
}

/// When the peak was, compared with the last reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PeakAt {
    #[default]
    BeforeLastReading,
    /// Only the kernel's mark at the end tells of it.
    PerhapsAfterLastReading,
}

/// `--max-rss` and whether it was passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) bytes: u64,
    pub(crate) passed: bool,
    pub(crate) passed_at_ns: Option<u64>,
}

/// How much of its growth a program gave back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Share {
    Known(f64),
    /// It grew by so little that a share means nothing.
    Flat {
        grown_bytes: u64,
    },
    /// The peak may have come after the last reading, which then says nothing about what was left of it.
    PeakUnseen,
    /// It was never read.
    Unknown,
}

impl Facts {
    pub(crate) fn share(&self) -> Share {
        let (Some(peak), Some(first), Some(last)) = (self.peak_bytes, self.first_bytes, self.final_bytes)
        else {
            return Share::Unknown;
        };
        let grown = peak.saturating_sub(first);
        if grown < GROWTH_FLOOR_BYTES {
            return Share::Flat { grown_bytes: grown };
        }
        if self.peak_at == PeakAt::PerhapsAfterLastReading {
            return Share::PeakUnseen;
        }
        let left = peak.saturating_sub(last).min(grown);
        Share::Known(unit::to_f64(left) / unit::to_f64(grown))
    }

    pub(crate) fn sentence(&self) -> String {
        let mut clauses = Vec::new();
        if !self.served {
            clauses.push(format!(
                "{} never loaded libneap.so, so its heap was not measured",
                self.command
            ));
        }
        clauses.push(self.peak());
        if let Some(limit) = self.limit.filter(|limit| limit.passed) {
            let when = limit
                .passed_at_ns
                .map_or_else(String::new, |at| format!(" after {}", unit::time(at)));
            clauses.push(format!(
                "the limit of {} was passed{when}",
                unit::size(limit.bytes)
            ));
        }
        clauses.join("; ")
    }

    fn peak(&self) -> String {
        let end = match &self.killed_by {
            Some(signal) => format!("before {signal} killed it"),
            None => "before exit".to_owned(),
        };
        let Some(peak) = self.peak_bytes else {
            return format!("no reading was taken {end}: it ended at once");
        };
        let peak = format!("peak {}", unit::size(peak));
        match self.share() {
            Share::Known(share) => format!(
                "{peak}, {} given back {end}{}",
                unit::percent(share),
                self.rest(share)
            ),
            Share::Flat { grown_bytes } => {
                let killed = self
                    .killed_by
                    .as_ref()
                    .map_or_else(String::new, |signal| format!("; {signal} killed it"));
                match self
                    .peak_below_bytes
                    .filter(|&below| below > self.peak_bytes.unwrap_or(0))
                {
                    Some(below) => {
                        format!(
                            "peak at most {}, too little to speak of giving back{killed}",
                            unit::size(below)
                        )
                    }
                    None => {
                        let grown = unit::size(grown_bytes);
                        format!("{peak}, grew by only {grown}, too little to speak of giving back{killed}")
                    }
                }
            }
            Share::PeakUnseen => format!("{peak}, reached too late to see what was given back {end}"),
            Share::Unknown => format!("{peak}, what was given back {end} is unknown: it ended at once"),
        }
    }

    /// When little was given back: was it in use, or kept for nothing?
    fn rest(&self, share: f64) -> String {
        let kept = self
            .final_bytes
            .unwrap_or(0)
            .saturating_sub(self.first_bytes.unwrap_or(0));
        match self.live_bytes {
            Some(live) if share < REST_SHARE && live >= kept / 2 => {
                format!(", {} was still in use", unit::size(live))
            }
            Some(live) if share < REST_SHARE => {
                format!(", though only {} was still in use", unit::size(live))
            }
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn facts(peak: u64, last: u64, live: u64) -> Facts {
        Facts {
            peak_bytes: Some(peak * MIB),
            first_bytes: Some(2 * MIB),
            final_bytes: Some(last * MIB),
            live_bytes: Some(live * MIB),
            served: true,
            command: "x".into(),
            ..Facts::default()
        }
    }

    #[test]
    fn a_burst_that_ebbed() {
        assert_eq!(
            facts(512, 20, 10).sentence(),
            "peak 512 MiB, 96 % given back before exit"
        );
    }

    #[test]
    fn what_stayed_is_told_apart_by_use() {
        assert_eq!(
            facts(512, 500, 490).sentence(),
            "peak 512 MiB, 2 % given back before exit, 490 MiB was still in use"
        );
        assert_eq!(
            facts(512, 500, 3).sentence(),
            "peak 512 MiB, 2 % given back before exit, though only 3.00 MiB was still in use"
        );
    }

    #[test]
    fn a_program_that_never_grew_has_no_share() {
        let flat = facts(3, 3, 1);
        assert_eq!(flat.share(), Share::Flat { grown_bytes: MIB });
        assert_eq!(
            flat.sentence(),
            "peak 3.00 MiB, grew by only 1.00 MiB, too little to speak of giving back"
        );
    }

    #[test]
    fn ends_limits_and_strangers_are_named() {
        let killed = Facts {
            killed_by: Some("SIGTERM".into()),
            ..facts(512, 20, 10)
        };
        assert_eq!(
            killed.sentence(),
            "peak 512 MiB, 96 % given back before SIGTERM killed it"
        );
        let small = Facts {
            peak_below_bytes: Some(5 * MIB),
            killed_by: Some("SIGTERM".into()),
            ..facts(3, 3, 1)
        };
        assert_eq!(
            small.sentence(),
            "peak at most 5.00 MiB, too little to speak of giving back; SIGTERM killed it"
        );
        let limit = Some(Limit {
            bytes: 100 * MIB,
            passed: true,
            passed_at_ns: Some(1_240_000_000),
        });
        let passed = Facts {
            limit,
            ..facts(512, 20, 10)
        };
        assert!(
            passed
                .sentence()
                .ends_with("; the limit of 100 MiB was passed after 1.24 s")
        );
        let late = Facts {
            peak_at: PeakAt::PerhapsAfterLastReading,
            ..facts(512, 3, 1)
        };
        assert_eq!(
            late.sentence(),
            "peak 512 MiB, reached too late to see what was given back before exit"
        );
        let stranger = Facts {
            served: false,
            live_bytes: None,
            ..facts(512, 20, 0)
        };
        assert!(stranger.sentence().starts_with("x never loaded libneap.so"));
        assert!(
            Facts {
                served: true,
                ..Facts::default()
            }
            .sentence()
            .contains("no reading")
        );
    }

    #[test]
    fn a_final_reading_below_the_first_is_all_given_back() {
        assert_eq!(facts(512, 1, 0).share(), Share::Known(1.0));
    }
}
