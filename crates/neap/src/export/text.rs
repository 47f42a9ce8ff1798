//! A scrape as text: OpenMetrics 1.0, and the older text of Prometheus (0.0.4) made from it.
//!
//! The encoder is prometheus-client's, which escapes label values. The older text has counters under the name of
//! their samples, no units and no end mark; values and labels are written the same in both.

use std::fmt::{self, Write};
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit as BaseUnit};

use super::family::{self, Family, Kind, Label, Unit, Value};
use super::figures::Scrape;

/// How a scrape is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    OpenMetrics,
    Prometheus,
}

impl Format {
    /// For HTTP's Content-Type.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Writes every family that has samples.
///
/// # Errors
/// Only what the encoder refuses, which names and labels of the catalogue never are.
pub(crate) fn write(scrape: &Arc<Scrape>, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(Arc::clone(scrape))));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    match format {
        Format::OpenMetrics => Ok(text),
        Format::Prometheus => older(&text),
    }
}

#[derive(Debug)]
struct Page(Arc<Scrape>);

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        family::all().try_for_each(|family| encode(&mut encoder, family, &self.0))
    }
}

fn encode(encoder: &mut DescriptorEncoder<'_>, family: &Family, scrape: &Scrape) -> fmt::Result {
    let mut samples = Vec::new();
    (family.samples)(scrape, &mut |labels, value| samples.push((labels, value)));
    if samples.is_empty() {
        return Ok(());
    }
    let unit = match family.unit {
        Unit::Bytes => Some(BaseUnit::Bytes),
        Unit::Seconds => Some(BaseUnit::Seconds),
        Unit::Ratio => Some(BaseUnit::Other("ratio".to_owned())),
        Unit::None => None,
    };
    let kind = match family.kind {
        Kind::Gauge => MetricType::Gauge,
        Kind::Counter => MetricType::Counter,
        Kind::Info => MetricType::Info,
    };
    let mut metric = encoder.encode_descriptor(family.stem, family.help, unit.as_ref(), kind)?;
    for (labels, value) in &samples {
        let labels = Labels(labels);
        if family.kind == Kind::Info {
            metric.encode_info(&labels)?;
        } else if labels.0.is_empty() {
            sample(&mut metric, family.kind, *value)?;
        } else {
            sample(&mut metric.encode_family(&labels)?, family.kind, *value)?;
        }
    }
    Ok(())
}

fn sample(metric: &mut MetricEncoder<'_>, kind: Kind, value: Value) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Whole(value)) => metric.encode_counter::<NoLabelSet, _, u64>(&value, None),
        (Kind::Counter, Value::Real(value)) => metric.encode_counter::<NoLabelSet, _, u64>(&value, None),
        (Kind::Gauge | Kind::Info, Value::Whole(value)) => metric.encode_gauge(&value),
        (Kind::Gauge | Kind::Info, Value::Real(value)) => metric.encode_gauge(&value),
    }
}

struct Labels<'a>(&'a [Label<'a>]);

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }
}

/// Prometheus' text of the same samples.
fn older(text: &str) -> Result<String, fmt::Error> {
    let names: std::collections::HashMap<String, &Family> =
        family::all().map(|family| (family.name(), family)).collect();
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            writeln!(out, "{line}")?;
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        let (keyword, name, rest) = (
            words.next(),
            words.next().unwrap_or(""),
            words.next().unwrap_or(""),
        );
        let sample = names
            .get(name)
            .map_or_else(|| name.to_owned(), |family| family.sample_name());
        match keyword {
            Some("HELP") => writeln!(out, "# HELP {sample} {rest}")?,
            Some("TYPE") => {
                let kind = if rest == "info" { "gauge" } else { rest };
                writeln!(out, "# TYPE {sample} {kind}")?;
            }
            // UNIT and EOF.
            _ => {}
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
