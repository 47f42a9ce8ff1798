//! The top of the page: the verdict, the command, the main figures, what went wrong.

use std::fmt::Write as _;

use super::facts::Circumstances;
use crate::report::markup::escape;
use crate::report::{Figure, PeakSource, Report};
use crate::unit;

/// Sections: the anchor and the word in the contents.
const CONTENTS: [(&str, &str); 8] = [
    ("where", "Where it is"),
    ("time", "Over time"),
    ("heap", "The heap"),
    ("classes", "Size classes"),
    ("space", "Address space"),
    ("calls", "Memory calls"),
    ("facts", "Configuration"),
    ("measured", "How measured"),
];

pub(super) fn put(html: &mut String, report: &Report, circumstances: &Circumstances) {
    let good = report.exit.neap_code == 0 && !report.rss.limit_passed;
    let _ = write!(
        html,
        "<header>\n<div class=\"top\"><h1>neap run</h1>\n<button type=\"button\" id=\"theme\" \
         hidden>Dark</button></div>\n\
         <p class=\"command\"><code>{}</code></p>\n<p class=\"verdict {}\">{}</p>\n\
         <p class=\"dim\">{}, neap {}</p>\n</header>\n",
        escape(&report.command.join(" ")),
        if good { "good" } else { "bad" },
        escape(&report.verdict),
        escape(&circumstances.measured_at),
        escape(report.neap_version),
    );
    figures(html, report);
    for warning in &report.warnings {
        let _ = writeln!(html, "<p class=\"note\">{}</p>", escape(warning));
    }
    html.push_str("<nav aria-label=\"Contents\"><ul>\n");
    for (id, word) in CONTENTS {
        let _ = writeln!(html, "<li><a href=\"#{id}\">{word}</a></li>");
    }
    html.push_str("</ul></nav>\n");
}

fn figures(html: &mut String, report: &Report) {
    let end = match (&report.exit.signal_name, report.exit.code) {
        (Some(signal), _) => signal.clone(),
        (None, Some(code)) => code.to_string(),
        (None, None) => "n/a".to_owned(),
    };
    let time = &report.time;
    let peak = match report.rss.peak_source {
        PeakSource::Readings => "all processes together",
        PeakSource::HighWaterMark => "one process, the kernel's mark",
    };
    let share = report.rss.given_back_share.map(unit::percent);
    let tiles = [
        tile(
            "exit",
            &end,
            if report.exit.signal.is_some() {
                "killed by a signal"
            } else {
                "code of the command"
            },
        ),
        tile(
            "wall time",
            &unit::time(time.wall_ns),
            &format!(
                "{} user, {} system",
                unit::time(time.user_ns),
                unit::time(time.system_ns)
            ),
        ),
        figure("RSS peak", &report.rss.peak_bytes, peak),
        figure("RSS at the end", &report.rss.final_bytes, "at the last reading"),
        tile(
            "given back before exit",
            share.as_deref().unwrap_or("n/a"),
            match report.not_available.get("rss.given_back_share") {
                Some(reason) => reason,
                None => "of what RSS grew by",
            },
        ),
        figure(
            "live peak",
            &report.heap.live_peak_bytes,
            "blocks the program held",
        ),
        figure("PSS peak", &report.pss.peak_bytes, "shared pages counted once"),
        tile(
            "page faults",
            &unit::count(report.faults.minor),
            &format!("minor, and {} major", unit::count(report.faults.major)),
        ),
    ];
    html.push_str("<dl class=\"tiles\">\n");
    html.extend(tiles);
    html.push_str("</dl>\n");
}

fn figure(name: &str, figure: &Figure, note: &str) -> String {
    tile(name, &figure.size(), figure.reason().unwrap_or(note))
}

fn tile(name: &str, value: &str, note: &str) -> String {
    format!(
        "<div><dt>{}</dt><dd><b>{}</b><small>{}</small></dd></div>\n",
        escape(name),
        escape(value),
        escape(note)
    )
}
