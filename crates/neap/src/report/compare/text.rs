//! A comparison as text.

use std::fmt::Write as _;

use super::{Against, AllocatorRow, Comparison, Figure, LoadState};
use crate::report::screen::{Role, Screen};
use crate::report::sparkline::{Charset, Frame};
use crate::report::{printable, shorten, wrap};
use crate::unit;

const LABEL_COLUMNS: usize = 17;
const NUMBER_COLUMNS: usize = 12;
const TITLES: [&str; 5] = ["wall", "CPU", "RSS peak", "RSS at end", "min. faults"];

/// The whole report, newline at the end.
pub(crate) fn render(report: &Comparison, screen: &Screen) -> String {
    let mut page = Page {
        text: String::new(),
        screen,
    };
    page.head(report);
    page.table(report);
    page.curves(report);
    for verdict in &report.verdicts {
        page.wrapped(Role::Title, verdict);
    }
    for alarm in &report.alarms {
        page.wrapped(Role::Bad, &format!("!! {alarm}"));
    }
    for note in &report.notes {
        page.wrapped(Role::Dim, &format!("note: {note}"));
    }
    page.wrapped(
        Role::Dim,
        "what each line means: docs/compare.md, neap compare --help",
    );
    match screen.charset {
        Charset::Unicode => page.text,
        Charset::Ascii => page.text.replace('µ', "u").replace('±', "+-").replace('×', "x"),
    }
}

struct Page<'a> {
    text: String,
    screen: &'a Screen,
}

impl Page<'_> {
    fn head(&mut self, report: &Comparison) {
        let command = shorten(&report.command.join(" "), self.screen.columns.saturating_sub(40));
        let title = self.screen.paint(Role::Title, &format!("neap compare {command}"));
        let runs = match report.settings.rounds {
            1 => "1 run each".to_owned(),
            rounds => format!("{rounds} runs each, in turn"),
        };
        let ended = self.screen.paint(Role::Dim, &format!("({runs})"));
        let _ = writeln!(self.text, "\n{title}  {ended}\n");
    }

    fn table(&mut self, report: &Comparison) {
        let mut header = format!("{:LABEL_COLUMNS$}", "");
        for title in TITLES {
            let _ = write!(header, "{title:>NUMBER_COLUMNS$}");
        }
        let _ = writeln!(self.text, "{}", self.screen.paint(Role::Dim, &header));
        for row in &report.allocators {
            let label = self
                .screen
                .paint(Role::Label, &format!("{:LABEL_COLUMNS$}", row.name));
            if row.loaded.state == LoadState::NotLoaded || row.runs_counted == 0 {
                let why = if row.loaded.state == LoadState::NotLoaded {
                    "not loaded"
                } else if row.runs == 0 {
                    "not run"
                } else {
                    "no run ended as expected"
                };
                let _ = writeln!(
                    self.text,
                    "{label}{}",
                    self.screen.paint(Role::Bad, &format!("  n/a ({why})"))
                );
                continue;
            }
            let figures = columns(row);
            let values: String = figures
                .iter()
                .map(|(figure, form)| value(*figure, *form))
                .collect();
            let _ = writeln!(self.text, "{label}{values}");
            let spread: String = figures.iter().map(|(figure, _)| comparison(*figure)).collect();
            let counted = if row.runs_counted == row.runs {
                String::new()
            } else {
                format!("  {} of {} runs", row.runs_counted, row.runs)
            };
            let line = format!("{counted:LABEL_COLUMNS$}{spread}");
            if line.trim().is_empty() {
                continue;
            }
            let _ = writeln!(self.text, "{}", self.screen.paint(Role::Dim, line.trim_end()));
        }
        let legend = match &report.baseline {
            Some(name) if report.settings.rounds > 1 => format!(
                "medians; ×: the share of {name}'s, `~` where the difference is below the noise; ±: median deviation"
            ),
            Some(name) => {
                format!("×: the share of {name}'s, `~`: one run cannot tell a difference from noise")
            }
            None => "nothing was measured".to_owned(),
        };
        self.text.push('\n');
        self.wrapped(Role::Dim, &legend);
    }

    /// One scale for all: the longest run and the greatest reading.
    fn curves(&mut self, report: &Comparison) {
        let drawn: Vec<&AllocatorRow> = report
            .allocators
            .iter()
            .filter(|row| row.series.len() > 1)
            .collect();
        let points = || drawn.iter().flat_map(|row| &row.series);
        let Some(top) = points().map(|point| point.rss_bytes).max() else {
            return;
        };
        let end_ns = drawn
            .iter()
            .filter_map(|row| row.series_wall_ns)
            .max()
            .unwrap_or(0);
        let frame = Frame {
            end_ns,
            top,
            columns: self
                .screen
                .columns
                .saturating_sub(LABEL_COLUMNS + 2 * NUMBER_COLUMNS),
            charset: self.screen.charset,
        };
        let title = format!("{:LABEL_COLUMNS$}", "RSS over time");
        let head = format!("{title}{:width$}{:>24}", "", "mean", width = frame.columns);
        let _ = writeln!(self.text, "\n{}", self.screen.paint(Role::Dim, &head));
        for row in drawn {
            let own = row.series_wall_ns.unwrap_or(end_ns);
            let curve = frame.draw(
                row.series
                    .iter()
                    .map(|point| (point.at_ns, Some(point.rss_bytes))),
            );
            // A run that ended earlier has no memory afterwards.
            let lived = columns_until(own, end_ns, frame.columns);
            let curve: String = curve.chars().take(lived).collect();
            let mean = row
                .figures
                .rss_mean_bytes
                .as_ref()
                .map(|figure| unit::size(figure.median));
            let mean = mean.unwrap_or_else(|| "n/a".to_owned());
            let label = self
                .screen
                .paint(Role::Label, &format!("{:LABEL_COLUMNS$}", row.name));
            let _ = writeln!(
                self.text,
                "{label}{curve:width$}{mean:>24}",
                width = frame.columns
            );
        }
        let end = unit::time(end_ns);
        let gap = frame.columns.saturating_sub(end.chars().count());
        let scale = format!(
            "{:LABEL_COLUMNS$}{:<gap$}{end}{:>24}",
            "",
            "0",
            format!("top {}", unit::size(top))
        );
        let _ = writeln!(self.text, "{}\n", self.screen.paint(Role::Dim, &scale));
    }

    /// Breaks at blanks, to the width of the screen; lines of the text itself stay lines.
    fn wrapped(&mut self, role: Role, text: &str) {
        for line in text.lines() {
            for piece in wrap(&printable(line), self.screen.columns) {
                let _ = writeln!(self.text, "{}", self.screen.paint(role, &piece));
            }
        }
    }
}

fn columns_until(own_ns: u64, end_ns: u64, columns: usize) -> usize {
    let wide = u128::try_from(columns).unwrap_or(0);
    let share = (u128::from(own_ns) * wide).div_ceil(u128::from(end_ns.max(1)));
    usize::try_from(share).unwrap_or(columns).min(columns)
}

/// How a number is written.
#[derive(Clone, Copy)]
enum Form {
    Time,
    Size,
    Count,
}

fn columns(row: &AllocatorRow) -> [(Option<&Figure>, Form); 5] {
    let figures = &row.figures;
    [
        (figures.wall_ns.as_ref(), Form::Time),
        (figures.cpu_ns.as_ref(), Form::Time),
        (figures.rss_peak_bytes.as_ref(), Form::Size),
        (figures.rss_end_bytes.as_ref(), Form::Size),
        (figures.minor_faults.as_ref(), Form::Count),
    ]
}

fn value(figure: Option<&Figure>, form: Form) -> String {
    let text = figure.map_or_else(
        || "n/a".to_owned(),
        |figure| match form {
            Form::Time => unit::time(figure.median),
            Form::Size => unit::size(figure.median),
            Form::Count => unit::count(figure.median),
        },
    );
    format!("{text:>NUMBER_COLUMNS$}")
}

/// `×0.98~ ±2%`.
fn comparison(figure: Option<&Figure>) -> String {
    let Some(figure) = figure else {
        return " ".repeat(NUMBER_COLUMNS);
    };
    let mut text = String::new();
    if figure.against_baseline != Against::Baseline {
        text = super::ratio(figure);
    }
    if figure.runs > 1 && figure.median > 0 {
        let spread = unit::to_f64(figure.deviation) / unit::to_f64(figure.median) * 100.0;
        let _ = write!(text, " ±{spread:.0}%");
    }
    format!("{:>NUMBER_COLUMNS$}", text.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_run_has_a_shorter_curve() {
        assert_eq!(columns_until(50, 100, 10), 5);
        assert_eq!(columns_until(100, 100, 10), 10);
        assert_eq!(columns_until(1, 100, 10), 1);
    }
}
