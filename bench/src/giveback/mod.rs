//! Give-back: what remains resident after a burst has ended, what giving it back costs, and how small
//! an allocator is when there was no burst.
//!
//! Four parts: the table of bursts (`burst`), the price of giving back (`price`), the time of single
//! calls (`latency`), and overheads (`small`). The workloads are C programs (`c/`), so that every
//! allocator serves them through the same names. Targets become lines that say pass or MISS
//! (`verdict`); nothing fails for a figure.

mod burst;
mod case;
mod child;
mod doc;
mod latency;
mod plot;
mod price;
mod small;
mod subject;
mod text;
pub(crate) mod verb;
mod verdict;

use serde::Serialize;
use std::path::Path;

use doc::with_region;
use subject::Subject;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The table: resident memory after a burst.
    Bursts,
    /// The same burst over and over.
    Price,
    /// Single calls.
    Latency,
    /// Small programs.
    Small,
}

/// How thoroughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    /// As records are made: bursts of 1 GiB, several minutes.
    Full,
    /// A quarter of the bursts' size and few runs: to see whether it works.
    Quick,
}

/// All that was found.
#[derive(Clone, Debug, Default, Serialize)]
struct Findings {
    /// Name and version of everybody who was measured.
    versions: Vec<(String, String)>,
    /// Seconds after the last free to which `resident_bytes` belongs.
    marks_s: Vec<f64>,
    bursts: Vec<burst::Burst>,
    /// Bursts that came to nothing, and why.
    failures: Vec<String>,
    price: Option<price::Price>,
    latencies: Vec<latency::Latency>,
    small: Vec<small::Small>,
    verdicts: Vec<verdict::Verdict>,
}

/// Measures `parts` under `subjects`. Programs are compiled into `scratch`; `told` hears of progress.
fn measure(
    parts: &[Part],
    subjects: &[Subject],
    effort: Effort,
    scratch: &Path,
    told: &(dyn Fn(&str) + Sync),
) -> Result<Findings, String> {
    let programs = child::Programs::compile(scratch)?;
    let mut findings = Findings {
        versions: subjects
            .iter()
            .map(|s| (s.name.clone(), s.version.clone()))
            .collect(),
        marks_s: burst::MARKS.to_vec(),
        ..Findings::default()
    };
    let full = effort == Effort::Full;
    if parts.contains(&Part::Small) {
        findings.small = small::run(&programs, subjects, if full { 5 } else { 1 }, told)?;
    }
    if parts.contains(&Part::Price) {
        let scale = price::Scale {
            runs: if full { 7 } else { 1 },
            pairs: if full { 4 } else { 3 },
        };
        findings.price = Some(price::run(&programs, subjects, scale, told)?);
    }
    if parts.contains(&Part::Latency) {
        findings.latencies = latency::run(&programs, subjects, if full { usize::MAX } else { 1 }, told)?;
    }
    if parts.contains(&Part::Bursts) {
        let scale = burst::Scale {
            mib: if full { 1024 } else { 256 },
            small_mib: if full { 256 } else { 64 },
            budget_mib: memory_to_use_mib(),
        };
        (findings.bursts, findings.failures) = burst::run(&programs, &case::CASES, subjects, scale, told);
    }
    findings.verdicts = verdict::judge(&findings, subjects);
    Ok(findings)
}

/// Half of what is available, and room for one full burst at least.
fn memory_to_use_mib() -> usize {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = available.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<usize>().ok());
    (kib.unwrap_or(0) / 1024 / 2).clamp(1300, 8000)
}

/// The findings to read: tables, then the verdicts.
fn text_of(findings: &Findings, subjects: &[Subject]) -> String {
    let known: Vec<String> = findings
        .versions
        .iter()
        .map(|(name, version)| format!("{name}: {version}"))
        .collect();
    let mut sections = vec![format!("{}\n", known.join("\n"))];
    if !findings.bursts.is_empty() {
        let told =
            "Resident memory after a burst: rivals one second after the last free, neap half a second.";
        sections.push(format!(
            "{told}\n\n{}",
            text::overview(&findings.bursts, subjects)
        ));
        sections.push(format!("Over time.\n{}", text::over_time(&findings.bursts)));
    }
    if let Some(price) = &findings.price {
        sections.push(text::price(price));
    }
    if !findings.latencies.is_empty() {
        sections.push(text::latencies(&findings.latencies));
    }
    if !findings.small.is_empty() {
        sections.push(text::small(&findings.small));
    }
    if !findings.failures.is_empty() {
        sections.push(format!("Failed:\n{}\n", findings.failures.join("\n")));
    }
    sections.push(verdict::text(&findings.verdicts));
    sections.join("\n")
}

/// What stands in `docs/give-back.md`, by region.
fn regions_of(findings: &Findings, subjects: &[Subject]) -> Vec<(&'static str, String)> {
    let mut regions = Vec::new();
    if !findings.bursts.is_empty() {
        regions.push(("table", text::overview(&findings.bursts, subjects)));
    }
    if let Some(price) = &findings.price {
        regions.push(("price", text::price(price)));
    }
    if !findings.latencies.is_empty() {
        let frees: Vec<_> = findings
            .latencies
            .iter()
            .filter(|l| l.call == "free")
            .cloned()
            .collect();
        regions.push(("worst free", text::latencies(&frees)));
    }
    if !findings.small.is_empty() {
        regions.push(("small", text::small(&findings.small)));
    }
    regions
}

/// Resident memory over time.
fn plot_of(findings: &Findings, subjects: &[Subject]) -> Option<String> {
    (!findings.bursts.is_empty()).then(|| plot::svg(&findings.bursts, subjects))
}

/// The middle of `values`; 0 of none.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match (values.len() / 2, values.len() % 2) {
        (_, _) if values.is_empty() => 0.0,
        (half, 1) => values[half],
        (half, _) => f64::midpoint(values[half - 1], values[half]),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        assert_eq!(median([]), 0.0);
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
