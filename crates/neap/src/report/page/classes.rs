//! Size classes: how many blocks live, what rounding may cost, what the slabs hold besides.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use neap_abi::anatomy::{CLASSES, PAGE, block_bytes};

use super::section;
use super::tables::{bar, number, sortable};
use crate::heap::Survey;
use crate::report::breakdown::When;
use crate::report::{ClassRow, Report};
use crate::run::Outcome;
use crate::run::moment::Moment;
use crate::unit;

/// One size class of all processes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Class {
    live_blocks: u64,
    live_bytes: u64,
    /// More than rounding can have cost.
    rounding_max_bytes: u64,
    slabs: u64,
    resident_bytes: u64,
    free_bytes: u64,
}

pub(super) fn put(html: &mut String, report: &Report, outcome: &Outcome) {
    section(html, "classes", "Size classes");
    html.push_str(
        "<p>A request is served by the smallest class that holds it. libneap.so does not record what was \
         asked \
         for: <i>rounding at most</i> is what the blocks would waste if each request were one byte too \
         large for \
         the class below; where sizes are spread evenly it is about half of that.</p>\n",
    );
    let moments = outcome.moments.as_ref();
    let surveyed: Vec<(When, &Moment)> = [
        (When::Peak, moments.and_then(|moments| moments.peak.as_deref())),
        (When::End, moments.and_then(|moments| moments.last.as_deref())),
    ]
    .into_iter()
    .filter_map(|(when, moment)| Some((when, moment.filter(|moment| surveys(moment).next().is_some())?)))
    .collect();
    choose(html, &surveyed);
    for (index, (when, moment)) in surveyed.iter().enumerate() {
        let _ = writeln!(
            html,
            "<div data-panel=\"classes\" data-when=\"{}\"{}>",
            when.word(),
            if index == 0 { "" } else { " hidden" }
        );
        let caption = format!(
            "Near the {}, {} after the start, of all processes; blocks ready in caches of threads count as \
             live.",
            when.word(),
            unit::time(moment.at_ns)
        );
        of_moment(html, moment, &caption);
        html.push_str("</div>\n");
    }
    at_exit(html, &report.classes, surveyed.is_empty());
    html.push_str("</section>\n");
}

fn surveys(moment: &Moment) -> impl Iterator<Item = &Survey> {
    moment
        .members
        .iter()
        .filter_map(|member| member.heap.as_ref().ok())
        .filter(|survey| survey.live_blocks > 0)
}

fn choose(html: &mut String, surveyed: &[(When, &Moment)]) {
    if surveyed.len() < 2 {
        return;
    }
    html.push_str("<form class=\"choose\" data-for=\"classes\" hidden>\n<fieldset><legend>Moment</legend>\n");
    for (index, (when, _)) in surveyed.iter().enumerate() {
        let _ = writeln!(
            html,
            "<label><input type=\"radio\" name=\"when\" value=\"{0}\"{1}> near the {0}</label>",
            when.word(),
            if index == 0 { " checked" } else { "" }
        );
    }
    html.push_str("</fieldset>\n</form>\n");
}

fn of_moment(html: &mut String, moment: &Moment, caption: &str) {
    let (classes, large) = sums(moment);
    let top = classes
        .values()
        .chain([&large])
        .map(|class| class.live_bytes)
        .max();
    let columns = [
        "Block",
        "Live blocks",
        "Live bytes",
        "Of the greatest",
        "Rounding at most",
        "Slabs",
        "In memory",
        "Free on these pages",
    ];
    sortable(html, caption, &columns);
    for (block_bytes, class) in &classes {
        let _ = write!(
            html,
            "<tr><th scope=\"row\" data-v=\"{block_bytes}\">{}</th>",
            unit::size(*block_bytes)
        );
        number(html, Some(class.live_blocks), unit::count);
        number(html, Some(class.live_bytes), unit::size);
        bar(html, class.live_bytes, top.unwrap_or(0));
        number(html, Some(class.rounding_max_bytes), unit::size);
        number(html, Some(class.slabs), unit::count);
        number(html, Some(class.resident_bytes), unit::size);
        number(html, Some(class.free_bytes), unit::size);
        html.push_str("</tr>\n");
    }
    if large.live_blocks > 0 {
        let _ = write!(html, "<tr><th scope=\"row\" data-v=\"{}\">larger</th>", u64::MAX);
        number(html, Some(large.live_blocks), unit::count);
        number(html, Some(large.live_bytes), unit::size);
        bar(html, large.live_bytes, top.unwrap_or(0));
        for _ in 0..4 {
            html.push_str("<td data-v=\"-1\">–</td>");
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
}

/// The classes of all processes, and blocks above them.
fn sums(moment: &Moment) -> (BTreeMap<u64, Class>, Class) {
    let (mut classes, mut large) = (BTreeMap::<u64, Class>::new(), Class::default());
    for survey in surveys(moment) {
        large.live_blocks += survey.large_blocks;
        large.live_bytes += survey.large_bytes;
        for class in &survey.classes {
            let sum = classes.entry(class.block_bytes).or_default();
            let below = (0..CLASSES)
                .filter_map(block_bytes)
                .take_while(|bytes| *bytes < class.block_bytes)
                .last()
                .unwrap_or(0);
            sum.live_blocks += class.live_blocks;
            sum.live_bytes += class.live_blocks * class.block_bytes;
            sum.rounding_max_bytes += class.live_blocks * (class.block_bytes - below).saturating_sub(1);
            sum.slabs += class.slabs;
            sum.resident_bytes += class.pages_resident * PAGE;
            sum.free_bytes += class.free_bytes_on_resident_pages;
        }
    }
    (classes, large)
}

/// What the command had not freed, by its last word.
fn at_exit(html: &mut String, classes: &[ClassRow], only: bool) {
    if classes.is_empty() {
        html.push_str("<p>No block was live when the command ended.</p>\n");
        return;
    }
    if !only {
        let _ = write!(
            html,
            "<details>\n<summary>Live when the command ended: {}</summary>\n",
            unit::size(classes.iter().map(|class| class.live_bytes).sum())
        );
    }
    let top = classes.iter().map(|class| class.live_bytes).max();
    let columns = ["Block", "Live blocks", "Live bytes", "Of the greatest"];
    sortable(html, "As libneap.so counted them at exit.", &columns);
    for class in classes {
        let name = class.block_bytes.map_or_else(|| "larger".to_owned(), unit::size);
        let _ = write!(
            html,
            "<tr><th scope=\"row\" data-v=\"{}\">{name}</th>",
            class.block_bytes.unwrap_or(u64::MAX)
        );
        number(html, Some(class.live_blocks), unit::count);
        number(html, Some(class.live_bytes), unit::size);
        bar(html, class.live_bytes, top.unwrap_or(0));
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
    if !only {
        html.push_str("</details>\n");
    }
}
