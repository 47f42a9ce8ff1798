//! The heap page by page: what the script draws, and its sums as a table.
//!
//! A map is a list of cells in the order of addresses, side by side ones that are alike in one run. A cell is
//! a page, or where that would be too much data 2, 4, 8 ... pages, with live bytes rounded as far as needed:
//! the first step that stays within [`CELLS_MAX`] and the bytes that a map may take. So a heap of any size is
//! drawn, and small ones to the byte.

use std::fmt::Write as _;

use serde::Serialize;

use super::section;
use crate::heap::{PageRun, Survey, Use};
use crate::report::Report;
use crate::report::breakdown::When;
use crate::report::markup::escape;
use crate::report::text::shorten;
use crate::run::Outcome;
use crate::run::moment::{Member, Moment};
use crate::unit;

/// Cells of a map.
pub(super) const CELLS_MAX: u64 = 1 << 16;
/// Bytes that all maps together may take, about.
const BYTES_MAX: usize = 120 << 10;
/// Processes with a map, the largest heaps.
const PROCESSES_MAX: usize = 3;
/// Stretches of addresses of one map; mappings of their own may be thousands.
const STRETCHES_MAX: usize = 128;
const PAGE_BYTES: u64 = 4096;
const NAME_COLUMNS: usize = 60;

/// The maps of a run.
#[derive(Debug)]
pub(super) struct Heaps {
    maps: Vec<Map>,
    /// Why processes have none.
    missing: Vec<String>,
}

/// One heap at one moment.
#[derive(Debug, Serialize)]
pub(super) struct Map {
    pid: u32,
    #[serde(skip)]
    name: String,
    when: When,
    #[serde(skip)]
    at_ns: u64,
    pages_per_cell: u64,
    /// Live bytes of a page are rounded to multiples of this.
    rounded_to_bytes: u64,
    palette: Vec<Cell>,
    stretches: Vec<Stretch>,
    /// Stretches of addresses that are left out, the smallest.
    left_out: usize,
    #[serde(skip)]
    rows: Vec<Row>,
    #[serde(skip)]
    notes: Vec<String>,
}

/// Addresses side by side.
#[derive(Debug, Serialize)]
struct Stretch {
    /// The first one, hexadecimal.
    start: String,
    /// How many cells, and which of the palette, in turn.
    runs: Vec<u64>,
}

/// What a cell looks like: use, bytes of a block, live bytes of a page, pages of 100 in memory (255: not
/// told).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
struct Cell(u8, u32, u64, u8);

/// A line of the table.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    word: &'static str,
    pages: u64,
    resident_pages: u64,
    live_bytes: u64,
}

/// The uses, in the order of the script and of the table.
const USES: [&str; 7] = ["slab", "run", "extent", "direct", "dirt", "given back", "records"];
const NOT_TOLD: u8 = u8::MAX;

impl Heaps {
    pub(super) fn new(outcome: &Outcome) -> Heaps {
        let mut heaps = Heaps {
            maps: Vec::new(),
            missing: Vec::new(),
        };
        let Some(moments) = &outcome.moments else {
            return heaps;
        };
        let moments = [(When::Peak, &moments.peak), (When::End, &moments.last)];
        let found = moments
            .iter()
            .filter_map(|(when, moment)| Some((*when, moment.as_deref()?)));
        let chosen: Vec<(When, &Moment, &Member, &Survey)> = found
            .flat_map(|(when, moment)| of_moment(when, moment, &mut heaps.missing))
            .collect();
        let room = BYTES_MAX / chosen.len().max(1);
        for (when, moment, member, survey) in chosen {
            heaps.maps.push(Map::new(when, moment, member, survey, room));
        }
        heaps
    }

    pub(super) fn maps(&self) -> &[Map] {
        &self.maps
    }

    pub(super) fn put(&self, html: &mut String, report: &Report) {
        section(html, "heap", "The heap, page by page");
        for why in &self.missing {
            let _ = writeln!(html, "<p class=\"dim\">n/a ({})</p>", escape(why));
        }
        if self.maps.is_empty() {
            if self.missing.is_empty() {
                let reason = match report.moments.is_empty() {
                    true => "the program ended before it could be read",
                    false => "no process had a heap of libneap.so",
                };
                let _ = writeln!(html, "<p>n/a ({reason})</p>");
            }
            html.push_str("</section>\n");
            return;
        }
        self.choose(html);
        for map in &self.maps {
            map.put(html);
        }
        html.push_str("</section>\n");
    }

    fn choose(&self, html: &mut String) {
        html.push_str(
            "<form class=\"choose\" data-for=\"heap\" hidden>\n<fieldset><legend>Moment</legend>\n",
        );
        for (when, title) in [(When::Peak, "near the peak"), (When::End, "near the end")] {
            let checked = if self.maps.first().is_some_and(|map| map.when == when) {
                " checked"
            } else {
                ""
            };
            let _ = writeln!(
                html,
                "<label><input type=\"radio\" name=\"when\" value=\"{}\"{checked}> {title}</label>",
                when.word()
            );
        }
        html.push_str("</fieldset>\n<label>Process <select name=\"who\">\n");
        let mut seen = Vec::new();
        for map in &self.maps {
            if !seen.contains(&map.pid) {
                seen.push(map.pid);
                let _ = writeln!(
                    html,
                    "<option value=\"{}\">{}</option>",
                    map.pid,
                    escape(&map.name)
                );
            }
        }
        html.push_str(
            "</select></label>\n</form>\n<p class=\"none dim\" data-none=\"heap\" hidden>That process had \
             no heap at \
             that moment.</p>\n",
        );
    }
}

/// The largest heaps of a moment.
fn of_moment<'a>(
    when: When,
    moment: &'a Moment,
    missing: &mut Vec<String>,
) -> Vec<(When, &'a Moment, &'a Member, &'a Survey)> {
    let mut heaps = Vec::new();
    for member in &moment.members {
        match &member.heap {
            Ok(survey) if survey.pages.is_empty() => {}
            Ok(survey) => heaps.push((when, moment, member, survey)),
            Err(why) if missing.len() < PROCESSES_MAX => {
                let text = format!("process {} {why}", member.pid);
                if !missing.contains(&text) {
                    missing.push(text);
                }
            }
            Err(_) => {}
        }
    }
    heaps.sort_by_key(|(_, _, _, survey)| std::cmp::Reverse(survey.resident_bytes));
    heaps.truncate(PROCESSES_MAX);
    heaps
}

impl Map {
    fn new(when: When, moment: &Moment, member: &Member, survey: &Survey, room: usize) -> Map {
        let name = format!("{} {}", member.pid, member.command.join(" "));
        let (runs, left_out) = stretches(&survey.pages);
        let mut map = Map {
            pid: member.pid,
            name: shorten(&name, NAME_COLUMNS),
            when,
            at_ns: moment.at_ns,
            pages_per_cell: 1,
            rounded_to_bytes: 1,
            palette: Vec::new(),
            stretches: Vec::new(),
            left_out,
            rows: rows(&survey.pages),
            notes: notes(survey),
        };
        loop {
            map.fold(&runs);
            let cells: u64 = map.stretches.iter().map(Stretch::cells).sum();
            let bytes = serde_json::to_string(&map).map_or(0, |text| text.len());
            if (cells <= CELLS_MAX && bytes <= room) || map.pages_per_cell >= 1 << 24 {
                return map;
            }
            match map.rounded_to_bytes {
                1 if cells <= CELLS_MAX => map.rounded_to_bytes = 256,
                1 => map.pages_per_cell *= 2,
                _ if map.rounded_to_bytes < 512 => map.rounded_to_bytes *= 2,
                _ => map.pages_per_cell *= 2,
            }
        }
    }

    /// Makes cells of the present size.
    fn fold(&mut self, stretches: &[&[PageRun]]) {
        self.palette.clear();
        self.stretches.clear();
        let mut numbers = std::collections::HashMap::new();
        for stretch in stretches {
            let mut runs: Vec<u64> = Vec::new();
            let mut add = |cell: Cell, count: u64| {
                let number = *numbers.entry(cell).or_insert_with(|| {
                    self.palette.push(cell);
                    u64::try_from(self.palette.len() - 1).unwrap_or(0)
                });
                match runs.as_mut_slice() {
                    [.., cells, last] if *last == number => *cells += count,
                    _ => runs.extend([count, number]),
                }
            };
            let mut mix = Mix::default();
            for run in *stretch {
                let mut pages = run.pages;
                // What is left of the cell that was begun.
                let first = pages.min(mix.room(self.pages_per_cell));
                mix.add(run, first);
                pages -= first;
                if mix.room(self.pages_per_cell) == 0 {
                    add(mix.cell(self.rounded_to_bytes), 1);
                    mix = Mix::default();
                }
                let whole = pages / self.pages_per_cell;
                if whole > 0 {
                    let mut one = Mix::default();
                    one.add(run, self.pages_per_cell);
                    add(one.cell(self.rounded_to_bytes), whole);
                }
                mix.add(run, pages % self.pages_per_cell);
            }
            if mix.pages > 0 {
                add(mix.cell(self.rounded_to_bytes), 1);
            }
            let start = stretch.first().map_or(0, |run| run.first);
            self.stretches.push(Stretch {
                start: format!("{start:x}"),
                runs,
            });
        }
    }

    fn put(&self, html: &mut String) {
        let hidden = if self.when == When::Peak { "" } else { " hidden" };
        let _ = write!(
            html,
            "<div data-panel=\"heap\" data-when=\"{0}\" data-who=\"{1}\"{hidden}>\n\
             <figure class=\"heap\" data-map=\"{0}-{1}\" hidden>\n<div class=\"cells\" tabindex=\"0\" \
             role=\"application\" \
             aria-roledescription=\"map\" aria-label=\"The heap of process {1} page by page. Arrows read \
             pages; the sums \
             are in the table below.\"><canvas></canvas><i class=\"cursor\" hidden></i></div>\n\
             <p class=\"read\" aria-live=\"polite\">&nbsp;</p>\n</figure>\n",
            self.when.word(),
            self.pid
        );
        legend(html);
        let _ = writeln!(
            html,
            "<p class=\"dim\">{}{}</p>",
            if self.pages_per_cell == 1 {
                "A square is a page of 4 KiB".to_owned()
            } else {
                format!("A square is {} pages of 4 KiB", self.pages_per_cell)
            },
            match self.left_out {
                0 => ", low addresses first; each stretch of addresses begins a row.".to_owned(),
                left_out => format!(
                    ", low addresses first; each stretch of addresses begins a row, {left_out} small ones \
                     are left out."
                ),
            }
        );
        for note in &self.notes {
            let _ = writeln!(html, "<p class=\"dim\">{}</p>", escape(note));
        }
        let _ = write!(
            html,
            "<div class=\"wide\"><table>\n<caption>{} after the start, {}.</caption>\n<thead><tr><th \
             scope=\"col\">Pages</th>\
             <th scope=\"col\">Addresses</th><th scope=\"col\">In memory</th><th scope=\"col\">Live \
             bytes</th>\
             <th scope=\"col\">Live of what is in memory</th></tr></thead>\n<tbody>\n",
            unit::time(self.at_ns),
            escape(&self.name)
        );
        for row in &self.rows {
            let resident = row.resident_pages * PAGE_BYTES;
            let _ = writeln!(
                html,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                row.word,
                unit::size(row.pages * PAGE_BYTES),
                unit::size(resident),
                unit::size(row.live_bytes),
                match resident {
                    0 => "–".to_owned(),
                    _ => format!("{:.0} %", super::percent_of(row.live_bytes, resident).min(100.0)),
                }
            );
        }
        html.push_str("</tbody>\n</table></div>\n</div>\n");
    }
}

impl Stretch {
    fn cells(&self) -> u64 {
        self.runs.iter().step_by(2).sum()
    }
}

/// Pages that make one cell.
#[derive(Clone, Debug, Default)]
struct Mix {
    pages: u64,
    resident_pages: u64,
    untold_pages: u64,
    live_bytes: u64,
    /// Pages of each use.
    uses: [u64; USES.len()],
    class_bytes: u32,
}

impl Mix {
    fn room(&self, whole: u64) -> u64 {
        whole - self.pages
    }

    fn add(&mut self, run: &PageRun, pages: u64) {
        if pages == 0 {
            return;
        }
        self.pages += pages;
        match run.resident {
            Some(true) => self.resident_pages += pages,
            Some(false) => {}
            None => self.untold_pages += pages,
        }
        self.live_bytes += pages * u64::from(run.live_bytes);
        if let Some(sum) = self.uses.get_mut(usize::from(number(run.use_))) {
            *sum += pages;
        }
        if let Use::Slab { class_bytes } = run.use_ {
            self.class_bytes = class_bytes;
        }
    }

    /// The use of most pages, but what is used rather than what is given back.
    fn cell(&self, rounded_to_bytes: u64) -> Cell {
        let given_back = usize::from(number(Use::GivenBack));
        let weight = |(use_, pages): &(usize, u64)| (*use_ != given_back && *pages > 0, *pages);
        let uses = self.uses.iter().copied().enumerate();
        let use_ = uses.max_by_key(weight).map_or(0, |(use_, _)| use_);
        let live = self.live_bytes / self.pages.max(1);
        // A page with one live block is not one without.
        let live = match live.div_ceil(rounded_to_bytes) * rounded_to_bytes {
            rounded if rounded > PAGE_BYTES => PAGE_BYTES,
            rounded => rounded,
        };
        let resident = match self.untold_pages {
            0 => u8::try_from((self.resident_pages * 100).div_ceil(self.pages.max(1))).unwrap_or(100),
            _ => NOT_TOLD,
        };
        let use_ = u8::try_from(use_).unwrap_or(0);
        let class_bytes = if use_ == number(Use::Slab { class_bytes: 0 }) {
            self.class_bytes
        } else {
            0
        };
        Cell(use_, class_bytes, live, resident)
    }
}

const fn number(use_: Use) -> u8 {
    match use_ {
        Use::Slab { .. } => 0,
        Use::Run => 1,
        Use::Extent => 2,
        Use::Direct => 3,
        Use::Dirt => 4,
        Use::GivenBack => 5,
        Use::Records => 6,
    }
}

/// The runs cut where addresses are missing; how many stretches, the smallest, are left out.
fn stretches(pages: &[PageRun]) -> (Vec<&[PageRun]>, usize) {
    let goes_on = |a: &PageRun, b: &PageRun| a.first + a.pages * PAGE_BYTES == b.first;
    let mut all: Vec<&[PageRun]> = pages.chunk_by(goes_on).collect();
    let left_out = all.len().saturating_sub(STRETCHES_MAX);
    if left_out > 0 {
        let size = |stretch: &&[PageRun]| stretch.iter().map(|run| run.pages).sum::<u64>();
        all.sort_by_key(|stretch| std::cmp::Reverse(size(stretch)));
        all.truncate(STRETCHES_MAX);
        all.sort_by_key(|stretch| stretch.first().map(|run| run.first));
    }
    (all, left_out)
}

fn rows(pages: &[PageRun]) -> Vec<Row> {
    let mut rows = USES.map(|word| Row {
        word,
        ..Row::default()
    });
    for run in pages {
        if let Some(row) = rows.get_mut(usize::from(number(run.use_))) {
            row.pages += run.pages;
            row.live_bytes += run.pages * u64::from(run.live_bytes);
            if run.resident == Some(true) {
                row.resident_pages += run.pages;
            }
        }
    }
    rows.into_iter().filter(|row| row.pages > 0).collect()
}

fn notes(survey: &Survey) -> Vec<String> {
    let mut notes = Vec::new();
    if survey.moving > 0 {
        notes.push(format!(
            "{} of {} slabs changed while they were looked at: their live bytes are spread evenly over \
             their pages.",
            unit::count(survey.moving),
            unit::count(survey.slabs)
        ));
    }
    if survey.resident_bytes.is_none() {
        notes.push("The kernel does not say which pages are in memory.".to_owned());
    }
    notes
}

fn legend(html: &mut String) {
    html.push_str(
        "<p class=\"legend\"><span><i class=\"key ramp\"></i>live: little to all of the page</span> \
         <span><i class=\"key slab_pages\"></i>no live block, slab in use</span> \
         <span><i class=\"key dirt\"></i>free, to be given back</span> \
         <span><i class=\"key given-back\"></i>given back, or never used</span> \
         <span><i class=\"key records\"></i>records</span> \
         <span><i class=\"key absent\"></i>of a slab or a large block, not in memory</span></p>\n",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use neap_proc::{Reading, Reason};

    fn member() -> Member {
        Member {
            pid: 7,
            command: vec!["a".to_owned()],
            rss_bytes: 0,
            space: Reading::Absent(Reason::NeverRead),
            counters: None,
            heap: Ok(Survey::default()),
        }
    }

    fn map(pages: Vec<PageRun>) -> Map {
        let moment = Moment {
            at_ns: 1,
            rss_bytes: 0,
            members: Vec::new(),
            left_out: 0,
            left_out_rss_bytes: 0,
            ended_rss_bytes: 0,
        };
        let survey = Survey {
            pages,
            ..Survey::default()
        };
        Map::new(When::Peak, &moment, &member(), &survey, 60 << 10)
    }

    fn run(first: u64, pages: u64, use_: Use, live_bytes: u16) -> PageRun {
        PageRun {
            first,
            pages,
            use_,
            live_bytes,
            resident: Some(use_ != Use::GivenBack),
        }
    }

    const SLAB: Use = Use::Slab { class_bytes: 64 };

    #[test]
    fn a_small_heap_is_told_to_the_page_and_the_byte() {
        let map = map(vec![
            run(0x10000, 2, SLAB, 65),
            run(0x12000, 1, Use::Dirt, 0),
            run(0x13000, 3, Use::GivenBack, 0),
            run(0x90000, 1, Use::Direct, 4096),
        ]);
        assert_eq!(
            (map.pages_per_cell, map.rounded_to_bytes, map.left_out),
            (1, 1, 0)
        );
        let starts: Vec<&str> = map.stretches.iter().map(|s| s.start.as_str()).collect();
        assert_eq!(starts, ["10000", "90000"]);
        assert_eq!(map.stretches[0].runs, [2, 0, 1, 1, 3, 2]);
        let wanted = [
            Cell(0, 64, 65, 100),
            Cell(4, 0, 0, 100),
            Cell(5, 0, 0, 0),
            Cell(3, 0, 4096, 100),
        ];
        assert_eq!(map.palette, wanted);
        let words: Vec<&str> = map.rows.iter().map(|row| row.word).collect();
        assert_eq!(words, ["slab", "direct", "dirt", "given back"]);
    }

    #[test]
    fn a_heap_of_200_000_pages_without_two_alike_still_fits() {
        let pages: Vec<PageRun> = (0..200_000_u64)
            .map(|n| {
                let live = u16::try_from(n * 2_654_435_761 % 4097).unwrap();
                run(0x10000 + n * PAGE_BYTES, 1, SLAB, live)
            })
            .collect();
        let live: u64 = pages.iter().map(|run| u64::from(run.live_bytes)).sum();
        let map = map(pages);
        assert!(serde_json::to_string(&map).unwrap().len() <= 60 << 10);
        assert!(map.pages_per_cell >= 4 && map.pages_per_cell.is_power_of_two());
        let cells: u64 = map.stretches.iter().map(Stretch::cells).sum();
        assert_eq!(cells, 200_000_u64.div_ceil(map.pages_per_cell));
        assert_eq!(map.rows[0].live_bytes, live, "the table has all of it");
    }

    #[test]
    fn a_cell_of_many_pages_shows_what_is_used() {
        let mut mix = Mix::default();
        mix.add(&run(0, 7, Use::GivenBack, 0), 7);
        mix.add(&run(0, 1, SLAB, 800), 1);
        assert_eq!(mix.cell(64), Cell(0, 64, 128, 13));
    }

    #[test]
    fn the_largest_stretches_are_kept() {
        let pages: Vec<PageRun> = (0..200).map(|n| run(n << 24, 1 + n, Use::Direct, 4096)).collect();
        let map = map(pages);
        assert_eq!((map.stretches.len(), map.left_out), (STRETCHES_MAX, 72));
        assert_eq!(map.stretches[0].start, format!("{:x}", 72 << 24));
    }
}
