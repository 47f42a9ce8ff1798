//! Tables that need no picture: memory calls, processes; and the parts of every table.

use std::fmt::Write as _;

use super::{percent_of, section};
use crate::report::markup::escape;
use crate::report::text::shorten;
use crate::report::{ProcessRow, Report};
use crate::unit;

/// Processes shown, those with the greatest peaks.
const PROCESSES_MAX: usize = 100;
const NAME_COLUMNS: usize = 100;

/// Columns that have words in place of numbers.
const WORDS: [&str; 5] = ["Kind", "Became", "Name", "End", "Command"];

/// The head of a table whose columns can be sorted.
pub(super) fn sortable(html: &mut String, caption: &str, columns: &[&str]) {
    let _ = write!(
        html,
        "<div class=\"wide\"><table class=\"sortable\">\n<caption>{caption}</caption>\n<thead><tr>"
    );
    for column in columns {
        let class = if WORDS.contains(column) {
            " class=\"text\""
        } else {
            ""
        };
        let _ = write!(html, "<th scope=\"col\"{class}>{column}</th>");
    }
    html.push_str("</tr></thead>\n<tbody>\n");
}

/// A cell that is sorted by its number.
pub(super) fn number(html: &mut String, value: Option<u64>, form: fn(u64) -> String) {
    match value {
        Some(value) => {
            let _ = write!(html, "<td data-v=\"{value}\">{}</td>", form(value));
        }
        None => html.push_str("<td data-v=\"-1\" class=\"dim\">n/a</td>"),
    }
}

/// A cell with a bar.
pub(super) fn bar(html: &mut String, part: u64, whole: u64) {
    let _ = write!(
        html,
        "<td class=\"track\" data-v=\"{part}\"><span class=\"bar live\" style=\"width:{:.2}%\"></span></td>",
        percent_of(part, whole)
    );
}

pub(super) fn calls(html: &mut String, report: &Report) {
    section(html, "calls", "Memory calls of the heap");
    let Some(calls) = &report.memory_calls else {
        html.push_str("<p>n/a (no process loaded libneap.so)</p>\n</section>\n");
        return;
    };
    sortable(
        html,
        "What the heaps of all processes asked of the kernel, from start to end; the program's own calls are \
         not among them.",
        &["Call", "Succeeded", "Bytes", "Bytes a call", "Failed"],
    );
    for row in calls {
        let _ = write!(html, "<tr><th scope=\"row\"><code>{}</code></th>", row.name);
        number(html, Some(row.calls), unit::count);
        number(html, Some(row.bytes), unit::size);
        match row.bytes.checked_div(row.calls) {
            Some(each) => number(html, Some(each), unit::size),
            None => html.push_str("<td data-v=\"-1\">–</td>"),
        }
        number(html, Some(row.failed), unit::count);
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n</section>\n");
}

pub(super) fn processes(html: &mut String, report: &Report) {
    if report.processes.len() < 2 {
        return;
    }
    section(html, "processes", "Processes");
    let mut rows: Vec<&ProcessRow> = report.processes.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.rss_peak_bytes.value()));
    let caption = if rows.len() > PROCESSES_MAX {
        format!(
            "The {PROCESSES_MAX} with the greatest peaks of {}; --json has more.",
            unit::count(u64::try_from(rows.len()).unwrap_or(u64::MAX))
        )
    } else {
        "Every process that was seen.".to_owned()
    };
    let columns = [
        "Process",
        "RSS peak",
        "Live peak",
        "Given back",
        "Seen",
        "End",
        "Command",
    ];
    sortable(html, &caption, &columns);
    for row in rows.iter().take(PROCESSES_MAX) {
        let heap = row.heap.as_ref();
        let _ = write!(html, "<tr><th scope=\"row\" data-v=\"{0}\">{0}</th>", row.pid);
        number(html, row.rss_peak_bytes.value(), unit::size);
        number(html, heap.and_then(|heap| heap.live_peak_bytes), unit::size);
        number(html, heap.map(|heap| heap.given_back_bytes), unit::size);
        let seen_ns = row.last_seen_ns.saturating_sub(row.first_seen_ns);
        number(html, Some(seen_ns), unit::time);
        let end = match (row.exit_code, row.signal, row.running) {
            (Some(code), ..) => format!("exit {code}"),
            (None, Some(signal), _) => crate::run::signals::name(signal),
            (None, None, true) => "running".to_owned(),
            (None, None, false) => "n/a".to_owned(),
        };
        let _ = writeln!(
            html,
            "<td class=\"word\">{}</td><td class=\"text\"><code>{}</code></td></tr>",
            escape(&end),
            escape(&shorten(&row.command.join(" "), NAME_COLUMNS))
        );
    }
    html.push_str("</tbody>\n</table></div>\n");
    if report.processes_not_listed > 0 {
        let _ = writeln!(
            html,
            "<p class=\"dim\">{} more came and went unseen, or found no room.</p>",
            unit::count(report.processes_not_listed)
        );
    }
    html.push_str("</section>\n");
}
