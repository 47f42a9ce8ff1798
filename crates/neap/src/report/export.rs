//! `neap export --once --json`: one scrape with the reason for each figure that is null.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Figure;
use crate::export::figures::{Process, Scrape};

/// Changes when a field changes its meaning or goes away; new fields do not change it.
pub(crate) const SCHEMA: &str = "neap.export/1";

/// The document.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    schema: &'static str,
    neap_version: &'static str,
    #[serde(flatten)]
    scrape: &'a Scrape,
    /// Path of a field that is null: why.
    not_available: BTreeMap<String, String>,
}

/// Adds the reasons to a scrape.
pub(crate) fn build(scrape: &Scrape) -> Report<'_> {
    let mut reasons = Reasons::default();
    for (index, process) in scrape.processes.iter().enumerate() {
        reasons.of_process(&format!("processes[{index}]"), process);
    }
    for (index, group) in scrape.groups.iter().enumerate() {
        reasons.of_figures(&format!("groups[{index}]"), group.sizes.each());
    }
    reasons.of_figures("machine", scrape.machine.sizes.each());
    reasons.add("machine", "pressure", scrape.machine.no_pressure.as_deref());
    Report {
        schema: SCHEMA,
        neap_version: env!("CARGO_PKG_VERSION"),
        scrape,
        not_available: reasons.0,
    }
}

#[derive(Default)]
struct Reasons(BTreeMap<String, String>);

impl Reasons {
    fn add(&mut self, path: &str, field: &str, reason: Option<&str>) {
        if let Some(reason) = reason {
            self.0.insert(format!("{path}.{field}"), reason.to_owned());
        }
    }

    fn of_figures<'a>(&mut self, path: &str, figures: impl Iterator<Item = (&'static str, &'a Figure)>) {
        for (field, figure) in figures {
            self.add(path, field, figure.reason());
        }
    }

    fn of_process(&mut self, path: &str, process: &Process) {
        self.of_figures(path, process.memory.each());
        self.of_figures(path, process.shares.each());
        self.add(path, "heap", process.no_heap.as_deref());
        if let Some(heap) = &process.heap {
            self.of_figures(&format!("{path}.heap"), heap.counters.each());
        }
        let missing = [
            ("user", process.user.is_none(), "its status cannot be read"),
            (
                "group",
                process.group.is_none(),
                "no control group counts its memory, or it cannot be read",
            ),
            (
                "start_time_seconds",
                process.start_time_seconds.is_none(),
                "the start of the machine is not known",
            ),
        ];
        for (field, is_missing, reason) in missing {
            self.add(path, field, Some(reason).filter(|_| is_missing));
        }
    }
}
