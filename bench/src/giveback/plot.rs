//! Resident memory over time as an SVG: a panel for each case, a line for each allocator.

use super::burst::{Burst, MARKS};
use super::case::CASES;
use super::subject::{NEAP, Subject};
use std::fmt::Write;

const PANEL: (f64, f64) = (400.0, 230.0);
const GAP: (f64, f64) = (70.0, 62.0);
const COLUMNS: usize = 2;
const LEGEND: f64 = 24.0;
/// Okabe and Ito's colours, told apart by everybody; the last is ours.
const COLOURS: [&str; 8] = [
    "#999999", "#56b4e9", "#e69f00", "#009e73", "#f0e442", "#0072b2", "#cc79a7", "#000000",
];
const OURS: &str = "#d55e00";

/// The axis of time: level seconds up to one second after the last free, then logarithmic.
fn x_of(seconds: f64) -> f64 {
    let (before, last) = (1.0, MARKS[MARKS.len() - 1]);
    let bend = |s: f64| if s <= 1.0 { s } else { 1.0 + s.ln() };
    let at = (bend(seconds.clamp(-before, last)) + before) / (bend(last) + before);
    at * PANEL.0
}

struct Style {
    colour: &'static str,
    width: f64,
    dashes: &'static str,
}

fn style(number: usize, subject: &Subject) -> Style {
    if subject.neap {
        let dashes = if subject.calling {
            "6 3"
        } else if subject.env.is_empty() {
            ""
        } else {
            "2 2"
        };
        return Style {
            colour: OURS,
            width: 2.5,
            dashes,
        };
    }
    Style {
        colour: COLOURS[number % COLOURS.len()],
        width: 1.5,
        dashes: if number >= COLOURS.len() { "4 3" } else { "" },
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The whole picture.
pub(crate) fn svg(bursts: &[Burst], subjects: &[Subject]) -> String {
    let cases: Vec<_> = CASES
        .iter()
        .filter(|case| bursts.iter().any(|b| b.case == case.id))
        .collect();
    let rows = cases.len().div_ceil(COLUMNS);
    let legend_rows = subjects.len().div_ceil(4) as f64;
    let width = COLUMNS as f64 * (PANEL.0 + GAP.0) + 30.0;
    let height = rows as f64 * (PANEL.1 + GAP.1) + legend_rows * LEGEND + 60.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    legend(&mut out, subjects);
    for (n, case) in cases.iter().enumerate() {
        let left = GAP.0 + (n % COLUMNS) as f64 * (PANEL.0 + GAP.0);
        let top = legend_rows * LEGEND + 64.0 + (n / COLUMNS) as f64 * (PANEL.1 + GAP.1);
        let _ = writeln!(out, "<g transform=\"translate({left:.0} {top:.0})\">");
        let mine: Vec<&Burst> = bursts.iter().filter(|b| b.case == case.id).collect();
        panel(&mut out, case.title, &mine, subjects);
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

fn legend(out: &mut String, subjects: &[Subject]) {
    for (n, subject) in subjects.iter().enumerate() {
        let s = style(n, subject);
        let (x, y) = (30.0 + (n % 4) as f64 * 230.0, 20.0 + (n / 4) as f64 * LEGEND);
        let _ = writeln!(
            out,
            "<path d=\"M{x:.0} {y:.0}h28\" stroke=\"{}\" stroke-width=\"{}\" stroke-dasharray=\"{}\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\">{}</text>",
            s.colour,
            s.width,
            s.dashes,
            x + 34.0,
            y + 4.0,
            escaped(&subject.name)
        );
    }
    let below = 20.0 + subjects.len().div_ceil(4) as f64 * LEGEND;
    let _ = writeln!(
        out,
        "<text x=\"30\" y=\"{below:.0}\" fill=\"#555\">RSS above the start, from the last free on; dotted: the pages \
         that hold a live byte under neap</text>"
    );
}

fn panel(out: &mut String, title: &str, bursts: &[&Burst], subjects: &[Subject]) {
    let top = bursts.iter().map(|b| b.peak_bytes).fold(1.0, f64::max) * 1.05;
    let y_of = |bytes: f64| PANEL.1 * (1.0 - (bytes / top).clamp(0.0, 1.0));
    let _ = writeln!(
        out,
        "<text x=\"0\" y=\"-10\" font-weight=\"bold\">{}</text>\
         <rect width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#bbb\"/>",
        escaped(title),
        PANEL.0,
        PANEL.1
    );
    for seconds in [-1.0, 0.0, 0.5, 1.0, 2.0, 5.0, 12.0] {
        let x = x_of(seconds);
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} 0v{}\" stroke=\"#eee\"/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{seconds} s</text>",
            PANEL.1,
            PANEL.1 + 16.0
        );
    }
    for part in 0..=4 {
        let bytes = top * f64::from(part) / 4.0;
        let _ = writeln!(
            out,
            "<text x=\"-6\" y=\"{:.1}\" text-anchor=\"end\">{:.0} MiB</text>",
            y_of(bytes) + 4.0,
            bytes / 1_048_576.0
        );
    }
    if let Some(ours) = bursts.iter().find(|b| b.subject == NEAP) {
        let y = y_of(ours.floor_bytes);
        let _ = writeln!(
            out,
            "<path d=\"M0 {y:.1}h{}\" stroke=\"#333\" stroke-dasharray=\"1 3\"/>",
            PANEL.0
        );
    }
    for burst in bursts {
        let Some(n) = subjects.iter().position(|s| s.name == burst.subject) else {
            continue;
        };
        line(out, burst, &style(n, &subjects[n]), &y_of);
    }
}

fn line(out: &mut String, burst: &Burst, style: &Style, y_of: &dyn Fn(f64) -> f64) {
    let mut path = String::new();
    for (seconds, bytes) in burst.curve.iter().filter(|point| point.0 >= -1.0) {
        let step = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{step}{:.1} {:.1}", x_of(*seconds), y_of(*bytes));
    }
    let _ = writeln!(
        out,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" stroke-dasharray=\"{}\">\
         <title>{}</title></path>",
        style.colour,
        style.width,
        style.dashes,
        escaped(&burst.subject)
    );
}

#[cfg(test)]
mod tests {
    use super::x_of;

    #[test]
    fn the_axis_grows_from_edge_to_edge() {
        let marks = [-1.0, 0.0, 0.5, 1.0, 1.5, 5.0, 12.0].map(x_of);
        assert_eq!(marks[0], 0.0);
        assert!((marks[6] - super::PANEL.0).abs() < 1e-9);
        assert!(marks.is_sorted());
    }
}
