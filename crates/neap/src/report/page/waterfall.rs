//! Where the resident memory is: one table for all processes together and for each of the largest, near the
//! peak and near the end. Each part's bar begins where the one before ends, so that the last ends at the
//! kernel's figure; what is missing is the residual's.

use std::fmt::Write as _;

use super::{percent_of, section};
use crate::report::Report;
use crate::report::breakdown::{Breakdown, MomentRow, When};
use crate::report::markup::escape;
use crate::report::text::shorten;
use crate::unit;

/// Processes that have a table of their own.
const PROCESSES_MAX: usize = 8;
/// Of a name.
const NAME_COLUMNS: usize = 60;

pub(super) fn put(html: &mut String, report: &Report) {
    section(html, "where", "Where the memory is");
    if report.moments.is_empty() {
        html.push_str("<p>n/a (the program ended before it could be read)</p>\n</section>\n");
        return;
    }
    html.push_str(
        "<p>The resident memory as the kernel counts it, and what it consists of. What was not found again \
         is the residual: memory that changed while it was read.</p>\n",
    );
    choose(html, &report.moments);
    for (index, moment) in report.moments.iter().enumerate() {
        let shown = index == 0;
        table(html, moment, "all", "all processes", &moment.breakdown, shown);
        if moment.processes.len() > 1 {
            for process in moment.processes.iter().take(PROCESSES_MAX) {
                let name = format!("{} {}", process.pid, process.command.join(" "));
                let who = process.pid.to_string();
                table(html, moment, &who, &name, &process.breakdown, false);
            }
        }
    }
    html.push_str("</section>\n");
}

/// Hidden until the script is there to obey.
fn choose(html: &mut String, moments: &[MomentRow]) {
    html.push_str("<form class=\"choose\" data-for=\"fall\" hidden>\n<fieldset><legend>Moment</legend>\n");
    for (index, moment) in moments.iter().enumerate() {
        let checked = if index == 0 { " checked" } else { "" };
        let _ = writeln!(
            html,
            "<label><input type=\"radio\" name=\"when\" value=\"{}\"{checked}> {}</label>",
            moment.when.word(),
            title(moment.when)
        );
    }
    html.push_str(
        "</fieldset>\n<label>Process <select name=\"who\"><option value=\"all\">all together</option>\n",
    );
    let mut seen = Vec::new();
    let many = moments.iter().filter(|moment| moment.processes.len() > 1);
    for process in many.flat_map(|moment| moment.processes.iter().take(PROCESSES_MAX)) {
        if !seen.contains(&process.pid) {
            seen.push(process.pid);
            let _ = writeln!(
                html,
                "<option value=\"{0}\">{0} {1}</option>",
                process.pid,
                escape(&shorten(&process.command.join(" "), NAME_COLUMNS))
            );
        }
    }
    html.push_str(
        "</select></label>\n</form>\n<p class=\"none dim\" data-none=\"fall\" hidden>That \
     process was not there at that moment.</p>\n",
    );
}

fn title(when: When) -> &'static str {
    match when {
        When::Peak => "near the peak",
        When::End => "near the end",
    }
}

fn table(html: &mut String, moment: &MomentRow, who: &str, name: &str, breakdown: &Breakdown, shown: bool) {
    let hidden = if shown { "" } else { " hidden" };
    let _ = write!(
        html,
        "<div class=\"fall\" data-panel=\"fall\" data-when=\"{}\" data-who=\"{}\"{hidden}>\n\
         <table role=\"table\">\n<caption>{}, {} after the start: {}</caption>\n\
         <thead role=\"rowgroup\"><tr role=\"row\"><th role=\"columnheader\" scope=\"col\">Part</th>\
         <td role=\"cell\"></td><th role=\"columnheader\" scope=\"col\">Bytes</th>\
         <th role=\"columnheader\" scope=\"col\">Share</th></tr></thead>\n<tbody role=\"rowgroup\">\n",
        moment.when.word(),
        escape(who),
        match moment.when {
            When::Peak => "Near the peak",
            When::End => "Near the end",
        },
        unit::time(moment.at_ns),
        escape(&shorten(name, NAME_COLUMNS)),
    );
    let mut offset = 0_u64;
    let whole = breakdown.rss_bytes;
    for share in &breakdown.parts {
        let _ = write!(
            html,
            "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\"><i class=\"key \
             {0}\"></i>{1}<small>{2}</small></th>",
            share.part.word(),
            share.part.name(),
            escape(share.part.meaning())
        );
        cells(html, share.part.word(), [offset, share.bytes, whole], "");
        offset = offset.saturating_add(share.bytes);
    }
    let residual = breakdown.residual_bytes.unsigned_abs();
    let (sign, start) = if breakdown.residual_bytes < 0 {
        ("−", offset.saturating_sub(residual))
    } else {
        ("", offset)
    };
    html.push_str(
        "<tr role=\"row\" class=\"residual\"><th role=\"rowheader\" scope=\"row\"><i class=\"key \
         residual\"></i>residual\
         <small>the kernel's figure less all parts</small></th>",
    );
    cells(html, "residual", [start, residual, whole], sign);
    html.push_str(
        "</tbody>\n<tfoot role=\"rowgroup\"><tr role=\"row\"><th role=\"rowheader\" scope=\"row\"><i \
         class=\"key total\"></i>RSS\
         <small>by the kernel (statm)</small></th>",
    );
    cells(html, "total", [0, whole, whole], "");
    html.push_str("</tfoot>\n</table>\n</div>\n");
}

/// The bar, the size and the share, `sign` before both. `[from, len, whole]` in bytes.
fn cells(html: &mut String, class: &str, [from, len, whole]: [u64; 3], sign: &str) {
    let (left, width) = (percent_of(from, whole), percent_of(len, whole));
    let left = left.min(100.0);
    let _ = writeln!(
        html,
        "<td role=\"cell\" class=\"track\"><span class=\"bar {class}\" \
         style=\"left:{left:.2}%;width:{:.2}%\"></span></td>\
         <td role=\"cell\">{sign}{}</td><td role=\"cell\">{}</td></tr>",
        width.min(100.0 - left),
        unit::size(len),
        share(sign, width)
    );
}

/// A share that is not zero is not shown as zero.
fn share(sign: &str, percent: f64) -> String {
    if percent > 0.0 && percent < 0.1 {
        "&lt; 0.1 %".to_owned()
    } else {
        format!("{sign}{percent:.1} %")
    }
}
