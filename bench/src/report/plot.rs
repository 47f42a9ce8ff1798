//! Ratios as an SVG: a line for each task, a mark for each allocator, on a logarithmic axis.

use super::{Metric, OURS, YARDSTICK};
use crate::compare::Results;
use plotters::coord::combinators::IntoLogRange;
use plotters::prelude::*;

/// What a picture shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) metric: Metric,
}

const WIDTH: u32 = 1000;
const LINE: u32 = 22;
const OURS_COLOUR: RGBColor = RGBColor(213, 94, 0);
/// Okabe and Ito's other colours, told apart by everybody.
const COLOURS: [RGBColor; 9] = [
    RGBColor(153, 153, 153),
    RGBColor(0, 0, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(120, 200, 170),
    RGBColor(204, 121, 167),
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(240, 228, 66),
];

/// Each mark of an allocator: where, at which line.
struct Marks {
    name: String,
    points: Vec<(f64, f64)>,
}

/// The picture of one metric: every allocator's figures divided by the yardstick's.
pub(crate) fn svg(results: &Results, figure: Figure) -> Result<String, String> {
    let rows: Vec<_> = results
        .rows
        .iter()
        .filter(|row| row.cells.contains_key(YARDSTICK))
        .collect();
    let lines = rows.len();
    let marks: Vec<Marks> = results
        .allocators
        .iter()
        .map(|allocator| Marks {
            name: allocator.name.clone(),
            points: rows
                .iter()
                .enumerate()
                .filter_map(|(n, row)| {
                    let ratio = row.ratio(figure.metric, &allocator.name, YARDSTICK)?;
                    Some((ratio.value, (lines - n) as f64))
                })
                .collect(),
        })
        .collect();
    let names: Vec<String> = rows.iter().rev().map(|row| row.name.clone()).collect();
    let mut out = String::new();
    draw(&mut out, figure, &names, &marks).map_err(|e| format!("a plot: {e}"))?;
    Ok(out)
}

fn draw(
    out: &mut String,
    figure: Figure,
    names: &[String],
    marks: &[Marks],
) -> Result<(), Box<dyn std::error::Error>> {
    let size = (WIDTH, 150 + LINE * u32::try_from(names.len())?);
    let area = SVGBackend::with_string(out, size).into_drawing_area();
    area.fill(&WHITE)?;
    let all = || marks.iter().flat_map(|m| m.points.iter().map(|p| p.0));
    let (low, high) = (all().fold(0.5, f64::min) * 0.9, all().fold(2.0, f64::max) * 1.1);
    let title = format!("{} ÷ {YARDSTICK}: left is less", figure.metric.title());
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(130)
        .build_cartesian_2d((low..high).log_scale(), 0.0..names.len() as f64 + 1.0)?;
    let name_of = |at: &f64| {
        let whole = (at - at.round()).abs() < 1e-9 && *at >= 1.0;
        let index = if whole {
            at.round() as usize - 1
        } else {
            usize::MAX
        };
        names.get(index).cloned().unwrap_or_default()
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_labels(16)
        .y_labels(names.len() + 2)
        .y_label_formatter(&name_of)
        .x_label_formatter(&|x| format!("{x:.2}"))
        .label_style(("sans-serif", 12))
        .draw()?;
    let level = |y: f64| PathElement::new(vec![(low, y), (high, y)], RGBColor(240, 240, 240));
    chart.draw_series((1..=names.len()).map(|line| level(line as f64)))?;
    let one = vec![(1.0, 0.0), (1.0, names.len() as f64 + 1.0)];
    chart.draw_series(std::iter::once(PathElement::new(one, BLACK)))?;
    for (n, marks) in marks.iter().enumerate() {
        let (colour, radius) = match marks.name.as_str() {
            OURS => (OURS_COLOUR, 6),
            name if name.starts_with(OURS) => (OURS_COLOUR, 3),
            _ => (COLOURS[n % COLOURS.len()], 4),
        };
        let dots = marks
            .points
            .iter()
            .map(|point| Circle::new(*point, radius, colour.filled()));
        chart
            .draw_series(dots)?
            .label(marks.name.clone())
            .legend(move |(x, y)| Circle::new((x + 10, y), radius, colour.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.9))
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 12))
        .draw()?;
    area.present()?;
    Ok(())
}
