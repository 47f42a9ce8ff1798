//! A comparison as one HTML file that needs nothing else: styles and curves are inside, nothing is fetched.

use std::fmt::Write as _;

use super::{Against, AllocatorRow, Comparison, Figure, LoadState, RunRow};
use crate::report::markup::{THEME, escape};
use crate::unit;

const STYLE: &str = include_str!("compare.css");
const WIDTH: u64 = 960;
const HEIGHT: u64 = 320;
const LEFT: u64 = 70;
const BOTTOM: u64 = 30;
const TOP: u64 = 12;
/// Colours of theme.css; curves beyond them are dashed as well.
const COLOURS: usize = 8;

/// How a number is written.
type Form = fn(u64) -> String;

/// The whole file.
pub(crate) fn render(report: &Comparison) -> String {
    let command = escape(&report.command.join(" "));
    let mut page = Page { html: String::new() };
    page.put(&format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>neap compare {command}</title>\n<style>\n{THEME}{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>neap compare</h1>\n<p><code>{command}</code></p>\n"
    ));
    page.facts(report);
    page.list("alarms", "What went wrong", &report.alarms);
    page.list("verdicts", "What differs", &report.verdicts);
    page.table(report);
    page.chart(report);
    page.list("notes", "Notes", &report.notes);
    page.runs(report);
    page.put("</main>\n</body>\n</html>\n");
    page.html
}

struct Page {
    html: String,
}

impl Page {
    fn put(&mut self, text: &str) {
        self.html.push_str(text);
    }

    fn facts(&mut self, report: &Comparison) {
        let settings = &report.settings;
        let mut facts = vec![
            ("Machine", report.machine.line()),
            ("neap", report.neap_version.to_owned()),
            (
                "Measured",
                format!(
                    "{}: {} runs under each allocator, in turn, each round starting with the next one; runs before the \
                     first counted: {}; /proc read every {}",
                    report.measured_at,
                    settings.rounds,
                    settings.warmup,
                    unit::time(settings.interval_ns)
                ),
            ),
        ];
        if let Some(pages) = &report.machine.transparent_huge_pages {
            facts.push(("Transparent huge pages", pages.clone()));
        }
        self.put("<dl>\n");
        for (name, value) in facts {
            self.put(&format!("<dt>{name}</dt><dd>{}</dd>\n", escape(&value)));
        }
        self.put("</dl>\n");
    }

    fn list(&mut self, class: &str, title: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.put(&format!("<section class=\"{class}\">\n<h2>{title}</h2>\n<ul>\n"));
        for line in lines {
            self.put(&format!("<li>{}</li>\n", escape(line)));
        }
        self.put("</ul>\n</section>\n");
    }

    fn table(&mut self, report: &Comparison) {
        let base = report.baseline.as_deref().unwrap_or("the baseline");
        self.put("<h2>Figures</h2>\n<div class=\"wide\"><table>\n<caption>");
        self.put(&format!(
            "Medians, the share of {}’s (<i>noise</i>: the difference may be chance), least to greatest.",
            escape(base)
        ));
        self.put("</caption>\n<thead><tr><th scope=\"col\">Allocator</th>");
        for title in [
            "Wall",
            "CPU",
            "RSS peak",
            "RSS mean",
            "RSS at end",
            "Minor faults",
        ] {
            self.put(&format!("<th scope=\"col\">{title}</th>"));
        }
        self.put("</tr></thead>\n<tbody>\n");
        for (index, row) in report.allocators.iter().enumerate() {
            self.row(index, row);
        }
        self.put("</tbody>\n</table></div>\n");
    }

    fn row(&mut self, index: usize, row: &AllocatorRow) {
        let path = row.library.as_deref().unwrap_or("the C library");
        let _ = write!(
            self.html,
            "<tr><th scope=\"row\" title=\"{}\"><span class=\"key c{}\"></span>{}<br><small>{}</small></th>",
            escape(path),
            index % COLOURS,
            escape(&row.name),
            escape(path.rsplit('/').next().unwrap_or(path))
        );
        if row.loaded.state == LoadState::NotLoaded || row.runs_counted == 0 {
            let why = row.loaded.reason.as_deref().unwrap_or("no run ended as expected");
            self.put(&format!(
                "<td colspan=\"6\" class=\"bad\">not measured: {}</td></tr>\n",
                escape(why)
            ));
            return;
        }
        let figures = &row.figures;
        let cells: [(&Option<Figure>, Form); 6] = [
            (&figures.wall_ns, unit::time),
            (&figures.cpu_ns, unit::time),
            (&figures.rss_peak_bytes, unit::size),
            (&figures.rss_mean_bytes, unit::size),
            (&figures.rss_end_bytes, unit::size),
            (&figures.minor_faults, unit::count),
        ];
        for (figure, form) in cells {
            self.put(&cell(figure.as_ref(), form));
        }
        self.put("</tr>\n");
    }

    fn chart(&mut self, report: &Comparison) {
        let drawn = || report.allocators.iter().filter(|row| row.series.len() > 1);
        let readings = drawn().flat_map(|row| row.series.iter().map(|point| point.rss_bytes));
        let Some(top) = readings.max().filter(|&top| top > 0) else {
            return;
        };
        let end_ns = drawn()
            .filter_map(|row| row.series_wall_ns)
            .max()
            .unwrap_or(1)
            .max(1);
        let names: Vec<&str> = drawn().map(|row| row.name.as_str()).collect();
        self.put("<h2>RSS over time</h2>\n<p>Of each allocator, the run whose wall time is the median.</p>\n<figure>\n");
        let _ = writeln!(
            self.html,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"RSS over time under {}; the greatest \
             reading is {} and the longest run took {}\">",
            escape(&names.join(", ")),
            unit::size(top),
            unit::time(end_ns)
        );
        self.axes(top, end_ns);
        for (index, row) in report.allocators.iter().enumerate() {
            if row.series.len() > 1 {
                let path = path(row, end_ns, top);
                let dash = if index >= COLOURS { " dashed" } else { "" };
                let _ = writeln!(
                    self.html,
                    "<path class=\"curve c{}{dash}\" d=\"{path}\"><title>{}</title></path>",
                    index % COLOURS,
                    escape(&row.name)
                );
            }
        }
        self.put("</svg>\n<figcaption>");
        for (index, row) in report
            .allocators
            .iter()
            .enumerate()
            .filter(|(_, row)| row.series.len() > 1)
        {
            let _ = write!(
                self.html,
                "<span class=\"legend\"><span class=\"key c{}\"></span>{}</span> ",
                index % COLOURS,
                escape(&row.name)
            );
        }
        self.put("</figcaption>\n</figure>\n");
    }

    fn axes(&mut self, top: u64, end_ns: u64) {
        for step in 0..=4 {
            let (y, x) = (
                scaled(step, 4, HEIGHT - BOTTOM - TOP),
                scaled(step, 4, WIDTH - LEFT - 20),
            );
            let y = HEIGHT - BOTTOM - y;
            let _ = writeln!(
                self.html,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\"/>\
                 <text class=\"y\" x=\"{}\" y=\"{}\">{}</text>\
                 <text class=\"x\" x=\"{}\" y=\"{}\">{}</text>",
                WIDTH - 20,
                LEFT - 6,
                y + 4,
                unit::size(scaled(step, 4, top)),
                LEFT + x,
                HEIGHT - 10,
                unit::time(scaled(step, 4, end_ns))
            );
        }
    }

    fn runs(&mut self, report: &Comparison) {
        self.put("<details>\n<summary>Every run, in the order in which they ran</summary>\n<div class=\"wide\"><table>\n<thead><tr>");
        let titles = [
            "Allocator",
            "Round",
            "End",
            "Wall",
            "User",
            "System",
            "Peak of a process",
            "Peak of the tree",
            "Mean",
            "At end",
            "Output",
        ];
        for title in titles {
            self.put(&format!("<th scope=\"col\">{title}</th>"));
        }
        self.put("</tr></thead>\n<tbody>\n");
        for run in &report.runs {
            self.run(run);
        }
        self.put("</tbody>\n</table></div>\n</details>\n");
    }

    fn run(&mut self, run: &RunRow) {
        let size = |bytes: Option<u64>| bytes.map_or_else(|| "n/a".to_owned(), unit::size);
        let end = match (run.exit_code, run.signal) {
            (Some(code), _) => format!("exit {code}"),
            (None, Some(signal)) => crate::run::signals::name(signal),
            (None, None) if run.timed_out => "timed out".to_owned(),
            (None, None) => "n/a".to_owned(),
        };
        let cells = [
            (run.round + 1).to_string(),
            end,
            unit::time(run.wall_ns),
            unit::time(run.user_ns),
            unit::time(run.system_ns),
            size(run.rss_process_peak_bytes),
            size(run.rss_tree_peak_bytes),
            size(run.rss_mean_bytes),
            size(run.rss_end_bytes),
            unit::size(run.stdout_bytes),
        ];
        let class = if run.counted { "" } else { " class=\"bad\"" };
        let _ = write!(
            self.html,
            "<tr{class}><th scope=\"row\">{}</th>",
            escape(&run.allocator)
        );
        for cell in cells {
            self.put(&format!("<td>{cell}</td>"));
        }
        self.put("</tr>\n");
        if let Some(tail) = &run.stderr_tail {
            self.put(&format!(
                "<tr><td colspan=\"11\" class=\"tail\"><pre>{}</pre></td></tr>\n",
                escape(tail)
            ));
        }
    }
}

fn cell(figure: Option<&Figure>, form: Form) -> String {
    let Some(figure) = figure else {
        return "<td>n/a</td>".to_owned();
    };
    let class = match figure.against_baseline {
        Against::Less => "less",
        Against::More => "more",
        Against::Baseline | Against::BelowNoise | Against::TooFewRuns => "same",
    };
    let ratio = match (figure.against_baseline, figure.ratio) {
        (Against::Baseline, _) | (_, None) => String::new(),
        (Against::BelowNoise, Some(ratio)) => format!("×{ratio:.2} <i>noise</i>"),
        (Against::TooFewRuns, Some(ratio)) => format!("×{ratio:.2} <i>too few runs</i>"),
        (Against::Less | Against::More, Some(ratio)) => format!("×{ratio:.2}"),
    };
    format!(
        "<td class=\"{class}\"><b>{}</b> {ratio}<br><small>{} – {}</small></td>",
        form(figure.median),
        form(figure.least),
        form(figure.greatest)
    )
}

/// `part` of `whole`, of `length`.
fn scaled(part: u64, whole: u64, length: u64) -> u64 {
    let scaled = u128::from(part.min(whole)) * u128::from(length) / u128::from(whole.max(1));
    u64::try_from(scaled).unwrap_or(length)
}

/// Steps: a reading holds until the next.
fn path(row: &AllocatorRow, end_ns: u64, top: u64) -> String {
    let x = |at_ns| LEFT + scaled(at_ns, end_ns, WIDTH - LEFT - 20);
    let y = |bytes| HEIGHT - BOTTOM - scaled(bytes, top, HEIGHT - BOTTOM - TOP);
    let mut path = String::new();
    for point in &row.series {
        if path.is_empty() {
            let _ = write!(path, "M{} {}", x(point.at_ns), y(point.rss_bytes));
        } else {
            let _ = write!(path, "H{}V{}", x(point.at_ns), y(point.rss_bytes));
        }
    }
    if let Some(wall_ns) = row.series_wall_ns {
        let _ = write!(path, "H{}", x(wall_ns));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_scaled_without_overflow() {
        assert_eq!(scaled(1, 2, 960), 480);
        assert_eq!(scaled(u64::MAX, u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(scaled(7, 0, 10), 0);
    }
}
