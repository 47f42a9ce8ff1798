//! `cargo xtask bench attack`: the command line, the table, the record.

use super::{ATTACKS, Program, Rates, defenders};
use crate::peers::{Allocator, pick};
use crate::record::{Machine, put};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Who stops a program that breaks its heap, and how often.
///
/// 35 attacks, each in many variants, each variant in a process of its own. Counts the runs that were
/// stopped with a message. Two to four minutes.
#[derive(Args, Debug)]
pub(crate) struct Attack {
    /// Variants of each attack.
    #[arg(long, default_value_t = 40, value_name = "N")]
    variants: usize,
    /// Only these attacks.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    /// Only these allocators.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    allocators: Vec<String>,
    /// Writes attack.md and attack.json into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// One line of the table.
#[derive(Serialize)]
struct Row {
    attack: &'static str,
    what: &'static str,
    /// In the order of the allocators.
    rates: Vec<Rates>,
}

#[derive(Serialize)]
struct Findings {
    machine: Machine,
    variants: usize,
    allocators: Vec<Allocator>,
    rows: Vec<Row>,
}

/// Attacks, prints, and writes what is asked for. `scratch` is for the compiled program.
pub(crate) fn run(order: &Attack, all: &[Allocator], scratch: &Path) -> Result<(), String> {
    if let Some(name) = order.only.iter().find(|n| ATTACKS.iter().all(|(a, _)| a != n)) {
        return Err(format!("no attack {name}"));
    }
    let everybody = defenders(all);
    let allocators = match order.allocators.as_slice() {
        [] => everybody,
        names => pick(&everybody, names)?,
    };
    let program = Program::compile(&scratch.join("attack"))?;
    let mut findings = Findings {
        machine: Machine::look(),
        variants: order.variants,
        allocators,
        rows: Vec::new(),
    };
    for (attack, what) in ATTACKS {
        if !order.only.is_empty() && !order.only.iter().any(|n| n == attack) {
            continue;
        }
        let under = |a: &Allocator| program.rates(attack, order.variants, a);
        let rates = findings.allocators.iter().map(under).collect::<Result<_, _>>()?;
        eprintln!("{attack}");
        findings.rows.push(Row { attack, what, rates });
    }
    let text = text_of(&findings);
    print!("{text}");
    if let Some(directory) = &order.out {
        std::fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        let json = serde_json::to_string(&findings).map_err(|e| format!("the findings as JSON: {e}"))?;
        println!("{}", put(directory, "attack.md", &text)?.display());
        println!(
            "{}",
            put(directory, "attack.json", &format!("{json}\n"))?.display()
        );
    }
    Ok(())
}

fn text_of(findings: &Findings) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    let names = findings.allocators.iter().map(|a| a.name.clone());
    table.set_header(["attack".to_owned()].into_iter().chain(names));
    for row in &findings.rows {
        let cells = row.rates.iter().map(Rates::cell);
        table.add_row([row.attack.to_owned()].into_iter().chain(cells));
    }
    let share = |column: usize| {
        let all = findings.rows.iter().filter_map(|row| row.rates.get(column));
        let (detected, tried) = all.fold((0, 0), |(d, t), r| {
            (d + r.detected, t + findings.variants - r.absent)
        });
        match tried {
            0 => "-".to_owned(),
            _ => format!("{:.0} %", 100.0 * detected as f64 / tried as f64),
        }
    };
    let shares = (0..findings.allocators.len()).map(share);
    table.add_row(["detected".to_owned()].into_iter().chain(shares));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = String::from("# Attacks\n\n");
    let _ = writeln!(text, "{}", findings.machine.text());
    let _ = writeln!(
        text,
        "Of {} variants of each attack, how many were stopped with a message. `+3c`: three more ended by a signal \
         without a word; `+1h`: one hung; the rest ran to the end. `-`: there is no such function under this \
         allocator. The last row counts every run that could be tried.\n\n{table}\n",
        findings.variants
    );
    for row in &findings.rows {
        let _ = writeln!(text, "- {}: {}", row.attack, row.what);
    }
    text.push('\n');
    for allocator in &findings.allocators {
        let _ = writeln!(text, "- {}: {}", allocator.name, allocator.version);
    }
    text
}
