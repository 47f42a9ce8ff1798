//! Curves over time: what the script draws, and the same as a table.
//!
//! Sizes and processes are as read; where a point stands for several readings, the greatest. Faults and calls
//! are rates: the work between two points divided by the time between them.

use std::fmt::Write as _;

use neap_abi::Call;
use serde::Serialize;

use super::section;
use crate::report::Report;
use crate::run::Outcome;
use crate::run::series::Point;
use crate::run::work::Work;
use crate::unit;

/// Points of the page; JSON has up to 4096.
pub(super) const POINTS_MAX: usize = 1200;
/// Rows of the table.
const ROWS_MAX: usize = 24;

/// Everything over one axis of time.
#[derive(Debug, Serialize)]
pub(super) struct Curves {
    /// Microseconds after the start.
    at_us: Vec<u64>,
    charts: Vec<Chart>,
    marks: Vec<Mark>,
}

#[derive(Debug, Serialize)]
struct Chart {
    id: &'static str,
    title: &'static str,
    unit: Unit,
    lines: Vec<Line>,
}

/// How values are written.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Unit {
    Bytes,
    BytesPerSecond,
    PerSecond,
    Count,
}

#[derive(Debug, Serialize)]
struct Line {
    name: &'static str,
    /// A colour of theme.css.
    colour: &'static str,
    values: Vec<Option<u64>>,
}

/// A moment at which was looked where the memory is.
#[derive(Debug, Serialize)]
struct Mark {
    at_us: u64,
    name: &'static str,
}

impl Curves {
    pub(super) fn new(report: &Report, outcome: &Outcome) -> Curves {
        let marks = report.moments.iter().map(|moment| Mark {
            at_us: moment.at_ns / 1000,
            name: moment.when.word(),
        });
        let points = outcome.sampler.series.clone().reduced(POINTS_MAX);
        Curves::of(&points, marks.collect())
    }

    fn of(points: &[Point], marks: Vec<Mark>) -> Curves {
        let gauge = |name, colour, value: fn(&Point) -> Option<u64>| Line {
            name,
            colour,
            values: points.iter().map(value).collect(),
        };
        let sizes = vec![
            gauge("RSS", "c1", |point| Some(point.rss_bytes)),
            gauge("PSS", "c7", |point| point.pss_bytes),
            gauge("held", "c5", |point| point.held_bytes),
            gauge("live", "c3", |point| point.live_bytes),
            gauge("dirt", "c2", |point| point.dirty_bytes),
        ];
        let mut charts = vec![chart("sizes", "Memory", Unit::Bytes, sizes)];
        let faults = vec![
            rate("minor", "c1", points, |work| work.minor_faults),
            rate("major", "c6", points, |work| work.major_faults),
        ];
        charts.push(chart("faults", "Page faults a second", Unit::PerSecond, faults));
        let calls = call_lines(points, |work| work.calls);
        let bytes = call_lines(points, |work| work.bytes);
        charts.push(chart(
            "calls",
            "Memory calls of the heap a second",
            Unit::PerSecond,
            calls,
        ));
        charts.push(chart(
            "bytes",
            "Bytes of those calls a second",
            Unit::BytesPerSecond,
            bytes,
        ));
        if points.iter().any(|point| point.processes > 1) {
            let lines = vec![gauge("processes", "c4", |point| Some(point.processes))];
            charts.push(chart("processes", "Processes", Unit::Count, lines));
        }
        for chart in &mut charts {
            chart.lines.retain(|line| line.values.iter().any(Option::is_some));
        }
        charts.retain(|chart| !chart.lines.is_empty());
        Curves {
            at_us: points.iter().map(|point| point.at_ns / 1000).collect(),
            charts,
            marks,
        }
    }

    pub(super) fn put(&self, html: &mut String, report: &Report, outcome: &Outcome) {
        section(html, "time", "Over time");
        if self.at_us.len() < 2 {
            html.push_str("<p>n/a (the program ended before it was read twice)</p>\n</section>\n");
            return;
        }
        html.push_str(
            "<p class=\"hint dim\" hidden>Drag to zoom, double-click to see all again. With the keyboard: \
             tab to a \
             chart, arrows move the cursor, + and − zoom, 0 shows all. A name switches its line off and \
             on.</p>\n",
        );
        for chart in &self.charts {
            let _ = write!(
                html,
                "<figure class=\"chart\" id=\"chart-{0}\" data-chart=\"{0}\" hidden>\n<figcaption><b>{1}</b>\
                 <span class=\"legend\"></span></figcaption>\n<div class=\"plot\" tabindex=\"0\" \
                 role=\"application\" \
                 aria-roledescription=\"chart\" aria-label=\"{1} over time: {2}. Arrows read \
                 values.\"></div>\n\
                 <p class=\"sr\" aria-live=\"polite\"></p>\n</figure>\n",
                chart.id,
                chart.title,
                names(chart)
            );
        }
        let rows = outcome.sampler.series.clone().reduced(ROWS_MAX);
        table(html, &rows, report);
        html.push_str("</section>\n");
    }
}

fn chart(id: &'static str, title: &'static str, unit: Unit, lines: Vec<Line>) -> Chart {
    Chart {
        id,
        title,
        unit,
        lines,
    }
}

fn names(chart: &Chart) -> String {
    let names: Vec<&str> = chart.lines.iter().map(|line| line.name).collect();
    names.join(", ")
}

/// A line for each call that was ever made.
fn call_lines(points: &[Point], column: fn(&crate::run::work::CallWork) -> u64) -> Vec<Line> {
    const COLOURS: [&str; Call::ALL.len()] = ["c4", "c1", "c2", "c5", "c3", "c6"];
    let mut lines = Vec::new();
    for (index, (call, colour)) in Call::ALL.iter().zip(COLOURS).enumerate() {
        let row = |work: &Work| work.calls.get(index).copied().unwrap_or_default();
        let made = points.iter().filter_map(|point| point.work.as_ref());
        if made.clone().any(|work| row(work).calls > 0) {
            lines.push(Line {
                name: call.name(),
                colour,
                values: rates(points, |work| column(&row(work))),
            });
        }
    }
    lines
}

fn rate(name: &'static str, colour: &'static str, points: &[Point], of: impl Fn(&Work) -> u64) -> Line {
    Line {
        name,
        colour,
        values: rates(points, of),
    }
}

/// Work a second in the time from the point before to each point.
fn rates(points: &[Point], of: impl Fn(&Work) -> u64) -> Vec<Option<u64>> {
    let mut before_ns = 0;
    let mut rates = Vec::with_capacity(points.len());
    for point in points {
        let span_ns = point.until_ns.saturating_sub(before_ns);
        before_ns = point.until_ns;
        rates.push(point.work.as_ref().and_then(|work| per_second(of(work), span_ns)));
    }
    rates
}

fn per_second(work: u64, span_ns: u64) -> Option<u64> {
    let rate = (u128::from(work) * 1_000_000_000).checked_div(u128::from(span_ns))?;
    u64::try_from(rate).ok()
}

fn table(html: &mut String, points: &[Point], report: &Report) {
    let _ = write!(
        html,
        "<details>\n<summary>The curves as a table</summary>\n<div class=\"wide\"><table>\n<caption>{} \
         rows of {} \
         readings: sizes are the greatest of a row, faults and calls its mean rates.</caption>\n<thead><tr>",
        points.len(),
        unit::count(report.rss.readings)
    );
    let columns = [
        "After",
        "RSS",
        "PSS",
        "Held",
        "Live",
        "Dirt",
        "Faults/s",
        "Calls/s",
        "Bytes/s",
        "Processes",
    ];
    for column in columns {
        let _ = write!(html, "<th scope=\"col\">{column}</th>");
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    let faults = rates(points, |work| work.minor_faults.saturating_add(work.major_faults));
    let calls = rates(points, |work| work.calls.iter().map(|call| call.calls).sum());
    let bytes = rates(points, |work| work.calls.iter().map(|call| call.bytes).sum());
    for (index, point) in points.iter().enumerate() {
        let at = |rates: &[Option<u64>]| rates.get(index).copied().flatten();
        let size = |bytes: Option<u64>| bytes.map_or_else(|| "n/a".to_owned(), unit::size);
        let count = |number: Option<u64>| number.map_or_else(|| "n/a".to_owned(), unit::count);
        let cells = [
            size(Some(point.rss_bytes)),
            size(point.pss_bytes),
            size(point.held_bytes),
            size(point.live_bytes),
            size(point.dirty_bytes),
            count(at(&faults)),
            count(at(&calls)),
            size(at(&bytes)),
            unit::count(point.processes),
        ];
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", unit::time(point.at_ns));
        for cell in cells {
            let _ = write!(html, "<td>{cell}</td>");
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n</details>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_work_by_the_time_since_the_point_before() {
        let point = |until_ns, minor_faults| Point {
            at_ns: until_ns,
            until_ns,
            work: Some(Work {
                minor_faults,
                ..Work::default()
            }),
            ..Point::default()
        };
        let points = [
            point(500_000_000, 10),
            point(1_500_000_000, 10),
            point(1_500_000_000, 3),
        ];
        assert_eq!(
            rates(&points, |work| work.minor_faults),
            [Some(20), Some(10), None]
        );
        assert_eq!(rates(&[Point::default()], |work| work.minor_faults), [None]);
    }

    #[test]
    fn curves_of_a_long_run_stay_small() {
        let mut series = crate::run::series::Series::default();
        for at in 0..200_000_u64 {
            let mixed = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut work = Work {
                minor_faults: mixed >> 40,
                major_faults: mixed >> 60,
                ..Work::default()
            };
            for call in &mut work.calls {
                (call.calls, call.bytes) = (mixed >> 50, mixed >> 30);
            }
            series.push(Point {
                at_ns: at * 10_000_000,
                until_ns: at * 10_000_000,
                rss_bytes: mixed >> 28,
                pss_bytes: Some(mixed >> 29),
                live_bytes: Some(mixed >> 30),
                held_bytes: Some(mixed >> 27),
                dirty_bytes: Some(mixed >> 33),
                processes: 1 + (mixed >> 61),
                work: Some(work),
            });
        }
        let curves = Curves::of(&series.reduced(POINTS_MAX), Vec::new());
        assert!((POINTS_MAX / 2..=POINTS_MAX).contains(&curves.at_us.len()));
        assert_eq!(curves.charts.len(), 5);
        let bytes = serde_json::to_string(&curves).unwrap().len();
        assert!(bytes < 250 << 10, "{bytes}");
    }
}
