//! The catalogue of metrics: for each its name, unit, type, help, and where its samples come from.
//!
//! Names follow OpenMetrics: base units as suffix, `_total` for counters. Samples without a value are left out,
//! never written as 0. docs/export.md lists the same families; a test compares the two.

mod heap;
mod machine;
mod own;
mod process;

use std::borrow::Cow;

use super::figures::{Process, Scrape};
use crate::report::Figure;

/// One label of a sample.
pub(crate) type Label<'a> = (&'static str, Cow<'a, str>);

/// What a sample says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    /// A count or a size.
    Whole(u64),
    /// A time or a share.
    Real(f64),
}

/// The base unit, which ends the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Seconds,
    Ratio,
    /// A count, which has none.
    None,
}

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Gauge,
    Counter,
    /// Labels only; its value is 1.
    Info,
}

/// Takes the samples of a family.
pub(crate) type Out<'o, 'a> = &'o mut dyn FnMut(Vec<Label<'a>>, Value);

/// One family.
pub(crate) struct Family {
    /// Without unit and without `_total` or `_info`.
    pub(crate) stem: &'static str,
    pub(crate) unit: Unit,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
    pub(crate) samples: for<'o, 'a> fn(&'a Scrape, Out<'o, 'a>),
}

/// Every family, in the order in which they are written.
pub(crate) fn all() -> impl Iterator<Item = &'static Family> {
    [
        process::FAMILIES,
        heap::FAMILIES,
        machine::FAMILIES,
        own::FAMILIES,
    ]
    .into_iter()
    .flatten()
}

impl Unit {
    /// As the name's suffix.
    pub(crate) const fn word(self) -> Option<&'static str> {
        match self {
            Unit::Bytes => Some("bytes"),
            Unit::Seconds => Some("seconds"),
            Unit::Ratio => Some("ratio"),
            Unit::None => None,
        }
    }
}

impl Family {
    /// The name with its unit, as it stands behind `# TYPE` in OpenMetrics.
    pub(crate) fn name(&self) -> String {
        match self.unit.word() {
            Some(unit) => format!("{}_{unit}", self.stem),
            None => self.stem.to_owned(),
        }
    }

    /// The name of its samples, which is its name in Prometheus' text.
    pub(crate) fn sample_name(&self) -> String {
        let name = self.name();
        match self.kind {
            Kind::Gauge => name,
            Kind::Counter => name + "_total",
            Kind::Info => name + "_info",
        }
    }
}

/// The labels that name a process.
fn of<'a>(process: &'a Process) -> Vec<Label<'a>> {
    vec![
        ("pid", Cow::Owned(process.pid.to_string())),
        ("name", Cow::Borrowed(process.name.as_str())),
    ]
}

/// A sample for each process that has the figure.
fn each_process<'a>(
    scrape: &'a Scrape,
    out: Out<'_, 'a>,
    figure: impl Fn(&'a Process) -> Option<&'a Figure>,
) {
    for process in &scrape.processes {
        if let Some(value) = figure(process).and_then(Figure::value) {
            out(of(process), Value::Whole(value));
        }
    }
}

/// A sample without labels.
fn single(out: Out<'_, '_>, figure: &Figure) {
    if let Some(value) = figure.value() {
        out(Vec::new(), Value::Whole(value));
    }
}

/// Nanoseconds as seconds.
#[allow(
    clippy::cast_precision_loss,
    reason = "exact to 2^53 ns, a hundred days; after that to 16 digits"
)]
fn seconds(ns: u64) -> Value {
    Value::Real(ns as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_follow_the_rules_of_openmetrics() {
        let mut seen = HashSet::new();
        for family in all() {
            let name = family.name();
            assert!(name.starts_with("neap_"), "{name}");
            assert!(
                name.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{name}"
            );
            for reserved in ["_total", "_info", "_count", "_sum", "_bucket", "_created"] {
                assert!(!name.ends_with(reserved), "{name} ends with {reserved}");
            }
            assert!(
                !family.help.contains(['\\', '\n', '"']),
                "{name}: its help would need escapes"
            );
            assert!(family.help.ends_with('.'), "{name}: {}", family.help);
            assert!(seen.insert(family.sample_name()), "{name} is there twice");
        }
        assert!(seen.len() > 50);
    }

    fn file(path: &str) -> String {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// NEAP_BLESS=1 writes the table anew.
    #[test]
    fn the_document_lists_every_family() {
        const START: &str = "| metric | type | |\n|---|---|---|\n";
        let mut table = String::from(START);
        for family in all() {
            let kind = match family.kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
                Kind::Info => "info",
            };
            table += &format!("| `{}` | {kind} | {} |\n", family.sample_name(), family.help);
        }
        let text = file("docs/export.md");
        let (before, rest) = text.split_once(START).unwrap();
        let after = rest.split_once("\n\n").unwrap().1;
        let wanted = format!("{before}{table}\n{after}");
        if std::env::var_os("NEAP_BLESS").is_some() && text != wanted {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/export.md");
            std::fs::write(path, &wanted).unwrap();
        }
        assert_eq!(file("docs/export.md"), wanted, "NEAP_BLESS=1 writes it anew");
    }

    /// Every word that begins as a metric's name does.
    fn named(text: &str) -> HashSet<&str> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c));
        words
            .filter(|word| word.starts_with("neap_") || word.contains(":neap_"))
            .collect()
    }

    #[test]
    fn the_dashboard_the_rules_and_the_documents_name_only_metrics_that_there_are() {
        let rules = file("contrib/prometheus/neap.rules.yml");
        let mut known: HashSet<String> = all().map(Family::sample_name).collect();
        let records = rules
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- record: "));
        known.extend(records.map(str::to_owned));
        assert!(known.len() > 60);
        for path in [
            "contrib/grafana/neap.json",
            "contrib/prometheus/neap.rules.yml",
            "contrib/prometheus/neap.rules.test.yml",
            "docs/export.md",
            "docs/fleet.md",
        ] {
            let text = file(path);
            let names = named(&text);
            assert!(!names.is_empty(), "{path} names none");
            for name in names {
                assert!(known.contains(name), "{path} names {name}");
            }
        }
    }
}
