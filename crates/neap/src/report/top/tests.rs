//! Whole screens, compared with those in `golden/`. `NEAP_BLESS=1` writes them anew: the diff is part of the
//! review.

use std::path::Path;
use std::sync::Arc;

use neap_proc::model::{Footprint, Rates};
use neap_proc::parse::Stalled;
use neap_proc::read::{Host, Proc};
use neap_proc::{Reading, Reason};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::record::{TopProcessReport, TopReport};
use super::{Palette, draw, once, process};
use crate::report::Screen;
use crate::report::sparkline::Charset;
use crate::top::follower::{Follower, ProcessPicture};
use crate::top::heap_figures::{HeapFigures, tests::snapshot};
use crate::top::history::{History, Point};
use crate::top::machine::MachineMemory;
use crate::top::order::{Column, Direction, Filter, Sort};
use crate::top::row::{Row, tests as rows};
use crate::top::view::View;
use crate::top::watcher::Picture;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../proc/tests/fixtures/linux-6.18");
const MIB: u64 = 1 << 20;

fn machine() -> MachineMemory {
    let stalled = |hundredths| {
        Reading::Value(Stalled {
            last_10_seconds: hundredths,
            last_60_seconds: 0,
            last_300_seconds: 0,
            total_microseconds: 0,
        })
    };
    MachineMemory {
        total_bytes: Reading::Value(16 << 30),
        used_bytes: Reading::Value(5 << 30),
        available_bytes: Reading::Value(11 << 30),
        free_bytes: Reading::Value(3 << 30),
        cache_bytes: Reading::Value(9 << 30),
        swap_total_bytes: Reading::Value(2 << 30),
        swap_used_bytes: Reading::Value(300 * MIB),
        pressure_some: stalled(153),
        pressure_full: stalled(7),
        up_ns: Reading::Value(3_600_000_000_000),
    }
}

fn row(pid: u32, parent: u32, name: &str, user: &str, mib: u64) -> Row {
    let mut process = rows::process(pid, name, mib * MIB);
    process.parent = parent;
    process.footprint = Footprint {
        swap_bytes: Reading::Value(mib * MIB / 50),
        unique_bytes: Reading::Value(mib * MIB * 8 / 10),
        proportional_bytes: Reading::Value(mib * MIB * 9 / 10),
        resident_bytes: Reading::Value(mib * MIB),
    };
    let rate = f64::from(pid % 100);
    let rates = Rates {
        minor_faults_per_second: rate * 37.0,
        major_faults_per_second: 0.0,
        cpu_share: rate / 150.0,
        resident_growth_bytes_per_second: Some((rate - 30.0) * 65536.0),
    };
    Row::new(process, Some(rates), Some(Arc::from(user)))
}

/// Nine processes: one of another user, one new, one with a hostile name, and a small family.
fn picture() -> Picture {
    let mut all = vec![
        row(1, 0, "init", "root", 12),
        row(310, 1, "postgres", "postgres", 900),
        row(311, 310, "postgres", "postgres", 120),
        row(312, 310, "postgres", "postgres", 118),
        row(405, 1, "sshd", "root", 9),
        row(420, 405, "bash", "ann", 5),
        row(433, 420, "server", "ann", 2100),
        row(440, 420, "bad\x1b[31mname\nx", "a-very-long-user-name", 3),
        row(452, 1, "größe", "ann", 64),
    ];
    all[4].process.footprint = Footprint::missing(Reading::Denied);
    all[8].process.footprint = Footprint::missing(Reading::Absent(Reason::NotYet));
    all[8].rates = None;
    Picture {
        machine: machine(),
        rows: all,
        without_memory: 58,
        hidden: 0,
        waiting: 1,
        elapsed_ns: Some(2_000_000_000),
        failed: None,
    }
}

fn view() -> View {
    let sort = Sort {
        column: Column::Pss,
        direction: Direction::Usual,
    };
    let mut view = View::new(sort, Filter::default(), 1000);
    view.take(picture());
    view
}

/// The recorded process 4711, with a heap and a past that were made up.
fn process_picture() -> ProcessPicture {
    let (proc, host) = (
        Proc::recorded(format!("{FIXTURE}/proc"), 4096),
        Host::recorded(FIXTURE),
    );
    let mut picture = Follower::new(proc, host, 4711).unwrap().picture().clone();
    let last = picture.history.points()[0];
    let mut history = History::default();
    for (step, eighths) in [1_u64, 2, 4, 8, 16, 12, 8].into_iter().enumerate() {
        let kinds = last.kinds.unwrap().map(|bytes| bytes * eighths / 8);
        history.push(Point {
            at_ns: step as u64 * 10_000_000_000,
            resident_bytes: kinds.iter().sum(),
            kinds: Some(kinds),
        });
    }
    picture.history = history;
    picture.at_ns = 60_000_000_000;
    picture.age_ns = Reading::Value(7_440_000_000_000);
    let before = snapshot([7, 3 << 20, 6 << 20, 100 << 20, 900, 10]);
    let now = snapshot([7, 4 << 20, 7 << 20, 112 << 20, 912, 20]);
    picture.heap = Ok(HeapFigures::new(&now, Some(&before), 2_000_000_000));
    picture
}

fn drawn(view: &mut View, (columns, lines): (u16, u16), palette: &Palette) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    terminal.draw(|frame| draw(frame, view, palette)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let lines = buffer.content.chunks(usize::from(buffer.area.width));
    let line = |cells: &[ratatui::buffer::Cell]| -> String {
        let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        format!("{}\n", line.trim_end())
    };
    lines.map(line).collect()
}

#[track_caller]
fn assert_golden(name: &str, drawn: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/report/top/golden")
        .join(name);
    if std::env::var_os("NEAP_BLESS").is_some_and(|bless| bless == "1") {
        std::fs::write(&path, drawn).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        drawn == expected,
        "{name} is now\n{drawn}\nNEAP_BLESS=1 writes it anew"
    );
}

fn press(view: &mut View, keys: &[KeyCode]) {
    for key in keys {
        view.key(KeyEvent::from(*key));
    }
}

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (60, 20)];

#[test]
fn the_list_at_three_sizes() {
    for (columns, lines) in SIZES {
        let mut view = view();
        press(&mut view, &[KeyCode::Down, KeyCode::Down]);
        let screen = drawn(&mut view, (columns, lines), &Palette::coloured());
        assert_golden(&format!("list-{columns}x{lines}.txt"), &text(&screen));
    }
}

#[test]
fn one_process_at_three_sizes() {
    for (columns, lines) in SIZES {
        let mut view = view();
        view.open(4711);
        view.take_process(process_picture());
        let screen = drawn(&mut view, (columns, lines), &Palette::coloured());
        assert_golden(&format!("process-{columns}x{lines}.txt"), &text(&screen));
    }
}

#[test]
fn help_filter_and_tree() {
    let mut view = view();
    press(&mut view, &[KeyCode::Char('?')]);
    let help = drawn(&mut view, (60, 20), &Palette::plain(Charset::Unicode));
    assert_golden("help-60x20.txt", &text(&help));
    press(&mut view, &[KeyCode::Esc, KeyCode::Char('e')]);
    let tree = drawn(&mut view, (80, 24), &Palette::plain(Charset::Unicode));
    assert_golden("tree-80x24.txt", &text(&tree));
    press(&mut view, &"/post".chars().map(KeyCode::Char).collect::<Vec<_>>());
    let filter = drawn(&mut view, (80, 24), &Palette::plain(Charset::Unicode));
    assert_golden("filter-80x24.txt", &text(&filter));
}

#[test]
fn an_ascii_terminal_without_colours_gets_neither_colours_nor_unicode() {
    let ascii = Palette::plain(Charset::Ascii);
    let mut list = view();
    press(&mut list, &[KeyCode::Down]);
    let list = drawn(&mut list, (80, 24), &ascii);
    let mut process = view();
    process.open(4711);
    process.take_process(process_picture());
    let process = drawn(&mut process, (80, 24), &ascii);
    for screen in [&list, &process] {
        assert!(text(screen).is_ascii(), "{}", text(screen));
        for cell in &screen.content {
            let reset = ratatui::style::Color::Reset;
            assert_eq!((cell.fg, cell.bg), (reset, reset));
        }
    }
    assert_golden("list-ascii.txt", &text(&list));
    assert_golden("process-ascii.txt", &text(&process));
}

#[test]
fn a_process_that_ended_and_one_that_may_not_be_read_say_so() {
    let mut picture = process_picture();
    picture.ended = true;
    let mut view = view();
    view.open(4711);
    view.take_process(picture.clone());
    let ended = text(&drawn(&mut view, (80, 24), &Palette::coloured()));
    assert!(
        ended.contains("HAS ENDED") && ended.contains("anonymous"),
        "{ended}"
    );
    picture.ended = false;
    picture.history = History::default();
    for (at_ns, resident_bytes) in [(0, MIB), (1, 2 * MIB)] {
        picture.history.push(Point {
            at_ns,
            resident_bytes,
            kinds: None,
        });
    }
    picture.row.process.footprint = Footprint::missing(Reading::Denied);
    picture.space = Err("permission denied".to_owned());
    picture.heap = Err("permission denied: as root it can be read".to_owned());
    view.take_process(picture);
    let denied = text(&drawn(&mut view, (80, 24), &Palette::coloured()));
    assert_golden("process-denied.txt", &denied);
}

#[test]
fn no_size_of_a_terminal_is_too_small_to_draw() {
    for columns in [1, 5, 12, 30] {
        for lines in [1, 2, 4, 9] {
            let mut view = view();
            press(&mut view, &[KeyCode::Char('?')]);
            drawn(&mut view, (columns, lines), &Palette::coloured());
            view.open(4711);
            view.take_process(process_picture());
            drawn(&mut view, (columns, lines), &Palette::coloured());
        }
    }
}

#[test]
fn tables_for_people_and_for_programs() {
    let picture = picture();
    let listed: Vec<&Row> = picture.rows.iter().collect();
    let mut screen = Screen::plain();
    (screen.charset, screen.columns) = (Charset::Unicode, 100);
    assert_golden("once-100.txt", &once::for_people(&picture, &listed, &screen));
    let table = once::for_programs(&listed);
    assert_golden("once-pipe.txt", &table);
    let heads: Vec<usize> = table
        .lines()
        .map(|line| line.split(' ').take(9).count())
        .collect();
    assert_eq!(heads, [9; 10], "each line has its nine words before the command");
    assert_eq!(once::reasons(&listed).len(), 1);
    let one = process::text(&process_picture(), 100, &Palette::plain(Charset::Unicode));
    assert_golden("once-process.txt", &one);
}

#[test]
fn json_has_its_schema_and_a_reason_for_each_null() {
    let picture = picture();
    let listed: Vec<&Row> = picture.rows.iter().collect();
    let all = serde_json::to_value(TopReport::new(&picture, &listed)).unwrap();
    assert_eq!(
        (&all["schema"], &all["processes_without_memory"]),
        (&"neap.top/1".into(), &58.into())
    );
    let one = serde_json::to_value(TopProcessReport::new(&process_picture())).unwrap();
    assert_eq!(one["schema"], "neap.top-process/1");
    assert_eq!(one["process"]["pss_bytes"], one_pss());
    for report in [all, one] {
        let reasons = report["not_available"].as_object().unwrap();
        let mut nulls = Vec::new();
        find_nulls(&report, String::new(), &mut nulls);
        let explained: Vec<String> = reasons.keys().cloned().collect();
        nulls.sort();
        assert_eq!(nulls, explained);
    }
}

fn one_pss() -> u64 {
    let smaps = Proc::recorded(format!("{FIXTURE}/proc"), 4096)
        .smaps(4711)
        .value()
        .unwrap();
    Footprint::of(&smaps).proportional_bytes.value().unwrap()
}

fn find_nulls(value: &serde_json::Value, path: String, nulls: &mut Vec<String>) {
    match value {
        serde_json::Value::Null => nulls.push(path),
        serde_json::Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find_nulls(item, format!("{path}[{index}]"), nulls);
            }
        }
        serde_json::Value::Object(fields) => {
            for (name, field) in fields.iter().filter(|(name, _)| *name != "not_available") {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                find_nulls(field, path, nulls);
            }
        }
        _ => {}
    }
}
