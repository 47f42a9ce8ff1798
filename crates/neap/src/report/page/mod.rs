//! A run as one HTML file that needs nothing else: the library that draws its curves is inside, too, and its
//! own policy forbids the browser to load anything.
//!
//! Every figure is in the text: without scripts, in print and for a screen reader there are tables. Scripts
//! draw curves ([`curves`]) and the heap's pages ([`heap`]), sort tables and choose what is shown. What goes
//! to them is JSON in which no markup can begin. The file stays below a few hundred KiB however long the run
//! and however large the heap: curves are reduced to [`curves::POINTS_MAX`] points, pages to
//! [`heap::CELLS_MAX`] cells, tables to their largest rows, with a word on what is left out.

mod classes;
mod curves;
mod facts;
mod head;
mod heap;
mod space;
mod tables;
mod waterfall;

use std::fmt::Write as _;

use serde::Serialize;

use super::Report;
use super::markup::{POLICY, THEME, escape};
use crate::run::Outcome;
use curves::Curves;
pub(crate) use facts::Circumstances;
use heap::Heaps;

const STYLE: &str = include_str!("page.css");
const SCRIPTS: [&str; 3] = [
    include_str!("charts.js"),
    include_str!("heap.js"),
    include_str!("page.js"),
];
/// uPlot 1.6.32 (MIT), which draws the curves.
const UPLOT: &str = include_str!("uplot/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("uplot/uPlot.min.css");
const UPLOT_LICENSE: &str = include_str!("uplot/LICENSE");

/// What the scripts are given.
#[derive(Serialize)]
struct Data<'a> {
    curves: &'a Curves,
    heaps: &'a [heap::Map],
}

/// The whole file.
pub(crate) fn bytes(report: &Report, outcome: &Outcome, circumstances: &Circumstances) -> Vec<u8> {
    let curves = Curves::new(report, outcome);
    let heaps = Heaps::new(outcome);
    let command = escape(&report.command.join(" "));
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>neap run {command}</title>\n<style>\n{UPLOT_STYLE}\n{THEME}{STYLE}</style>\n</head>\n<body>\n\
         <main>\n"
    );
    head::put(&mut html, report, circumstances);
    waterfall::put(&mut html, report);
    curves.put(&mut html, report, outcome);
    heaps.put(&mut html, report);
    classes::put(&mut html, report, outcome);
    space::put(&mut html, outcome);
    tables::calls(&mut html, report);
    tables::processes(&mut html, report);
    facts::put(&mut html, report, outcome, circumstances);
    html.push_str("</main>\n");
    let data = Data {
        curves: &curves,
        heaps: heaps.maps(),
    };
    let _ = write!(
        html,
        "<script type=\"application/json\" \
         id=\"data\">{}</script>\n<script>\n/*\nuPlot:\n{UPLOT_LICENSE}\n*/\n\
         {UPLOT}\n</script>\n",
        json(&data)
    );
    for script in SCRIPTS {
        let _ = write!(html, "<script>\n{script}</script>\n");
    }
    html.push_str("</body>\n</html>\n");
    html.into_bytes()
}

/// JSON for a `script` element: nothing in it can end the element or begin a comment.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value)
        .unwrap_or_else(|_| "null".to_owned())
        .replace('<', "\\u003c")
}

/// The start of a section that the table of contents leads to.
fn section(html: &mut String, id: &str, title: &str) {
    let _ = write!(
        html,
        "<section id=\"{id}\" aria-labelledby=\"h-{id}\">\n<h2 id=\"h-{id}\">{title}</h2>\n"
    );
}

/// `part` of `whole` in percent, for a width.
fn percent_of(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    100.0 * crate::unit::to_f64(part) / crate::unit::to_f64(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_cannot_end_its_element() {
        let text = json(&["</script><!--", "a"]);
        assert!(!text.contains('<'));
        assert_eq!(
            serde_json::from_str::<Vec<String>>(&text).unwrap(),
            ["</script><!--", "a"]
        );
    }
}
