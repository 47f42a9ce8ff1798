//! Findings as tables.

use super::{Finding, Verdict};
use comfy_table::{CellAlignment, Table, presets};
use std::fmt::Write as _;

/// A table for each contest, then a line for each target.
pub(crate) fn text_of(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let _ = writeln!(
            text,
            "### {}\n\n{}\n\n{}\n",
            finding.name,
            finding.what,
            table_of(finding)
        );
    }
    text.push_str("### Targets\n\n");
    for finding in findings {
        for verdict in &finding.verdicts {
            let _ = writeln!(text, "- {}", line_of(finding.name, verdict));
        }
    }
    text
}

fn table_of(finding: &Finding) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["", finding.unit, "scatter", "against the first"]);
    for column in 1..4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let first = finding
        .figures
        .first()
        .and_then(|f| f.summary.as_ref())
        .map(|s| s.median);
    for figure in &finding.figures {
        let cells = match (&figure.summary, &figure.failure) {
            (Some(summary), _) => [
                figure.contender.to_owned(),
                rounded(summary.median),
                format!("{:.1} %", summary.deviation / summary.median * 100.0),
                first.map_or_else(String::new, |first| format!("{:.2}", summary.median / first)),
            ],
            (None, reason) => [
                figure.contender.to_owned(),
                format!("n/a ({})", reason.as_deref().unwrap_or("not run")),
                String::new(),
                String::new(),
            ],
        };
        table.add_row(cells);
    }
    table
}

/// Three digits that mean something.
fn rounded(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

fn line_of(contest: &str, verdict: &Verdict) -> String {
    let outcome = match verdict.is_met {
        true => "pass",
        false if verdict.has_no_rival => "n/a",
        false => "MISS",
    };
    let measured = match verdict.measured {
        Some(ratio) if verdict.is_noise => format!("{ratio:.2}, which is no difference"),
        Some(ratio) => format!("{ratio:.2}"),
        None => "n/a (no figure)".to_owned(),
    };
    format!(
        "{outcome} {contest}: {} at least {:.2} times {}: {measured}",
        verdict.who, verdict.wanted, verdict.rival
    )
}
