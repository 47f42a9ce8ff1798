//! Families of the exporter itself.

use std::borrow::Cow;

use super::{Family, Kind, Unit, Value, seconds};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        stem: "neap_build",
        unit: Unit::None,
        kind: Kind::Info,
        help: "The exporter's version.",
        samples: |_, out| {
            let version = Cow::Borrowed(env!("CARGO_PKG_VERSION"));
            out(vec![("version", version)], Value::Whole(1));
        },
    },
    Family {
        stem: "neap_export_processes",
        unit: Unit::None,
        kind: Kind::Gauge,
        help: "Processes: seen on the machine, exported, and chosen but left out because of --limit.",
        samples: |scrape, out| {
            let own = &scrape.exporter;
            for (state, count) in [
                ("seen", own.seen),
                ("exported", own.exported),
                ("left_out", own.left_out),
            ] {
                out(vec![("state", Cow::Borrowed(state))], Value::Whole(count));
            }
        },
    },
    Family {
        stem: "neap_export_vanished_processes",
        unit: Unit::None,
        kind: Kind::Counter,
        help: "Processes that ended while they were read, and are therefore not exported.",
        samples: |scrape, out| out(Vec::new(), Value::Whole(scrape.exporter.vanished_total)),
    },
    Family {
        stem: "neap_export_share_readings",
        unit: Unit::None,
        kind: Kind::Counter,
        help: "Readings of smaps_rollup, for PSS and USS.",
        samples: |scrape, out| out(Vec::new(), Value::Whole(scrape.exporter.share_readings_total)),
    },
    Family {
        stem: "neap_export_scrapes",
        unit: Unit::None,
        kind: Kind::Counter,
        help: "Times that everything was read; requests within a second share one reading.",
        samples: |scrape, out| out(Vec::new(), Value::Whole(scrape.exporter.scrapes_total)),
    },
    Family {
        stem: "neap_export_scrape_duration",
        unit: Unit::Seconds,
        kind: Kind::Gauge,
        help: "Time that this reading took.",
        samples: |scrape, out| out(Vec::new(), seconds(scrape.exporter.scrape_ns)),
    },
    Family {
        stem: "neap_export_errors",
        unit: Unit::None,
        kind: Kind::Counter,
        help: "Requests that were refused or failed, by cause.",
        samples: |scrape, out| {
            for (cause, count) in &scrape.exporter.errors {
                out(vec![("cause", Cow::Borrowed(cause))], Value::Whole(*count));
            }
        },
    },
];
