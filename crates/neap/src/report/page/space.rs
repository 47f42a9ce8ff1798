//! The address space of the command's process: as it began, as it was last seen, and what differs.

use std::fmt::Write as _;

use neap_proc::model::{Change, Comparison, Fate, Kind, Side, Space};
use neap_proc::parse::{Name, NameId, SmapsField};

use super::section;
use super::tables::sortable;
use crate::report::markup::escape;
use crate::report::text::shorten;
use crate::run::Outcome;
use crate::run::moment::{Member, Moment};
use crate::unit;

/// Mappings listed, those whose resident memory changed most.
const CHANGES_MAX: usize = 40;
/// Parts of a picture: beyond, only the largest are drawn.
const PARTS_MAX: usize = 160;
const NAME_COLUMNS: usize = 70;
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 56.0;

pub(super) fn put(html: &mut String, outcome: &Outcome) {
    section(html, "space", "Address space, before and after");
    let member = |moment: Option<&Moment>| -> Option<(u64, Space)> {
        let moment = moment?;
        let own = |member: &&Member| member.pid == outcome.pid;
        let member = moment.members.iter().find(own)?;
        Some((moment.at_ns, member.space.as_value()?.clone()))
    };
    let moments = outcome.moments.as_ref();
    let before = member(moments.and_then(|moments| moments.first.as_deref()));
    let after = member(moments.and_then(|moments| moments.last.as_deref()));
    let (Some((before_ns, before)), Some((after_ns, after))) = (before, after) else {
        html.push_str("<p>n/a (the smaps of the command could not be read)</p>\n</section>\n");
        return;
    };
    let _ = writeln!(
        html,
        "<p>Of process {}, {} and {} after the start. Each part of a strip is a mapping, or neighbours of \
         one \
         name; the width is the logarithm of the length, the solid part is what is resident.</p>",
        outcome.pid,
        unit::time(before_ns),
        unit::time(after_ns)
    );
    strip(html, "before", &before);
    strip(html, "after", &after);
    legend(html, &[&before, &after]);
    kinds(html, &before, &after);
    changes(html, &Comparison::new(&before, &after).mappings);
    html.push_str("</section>\n");
}

/// Neighbours of one kind and name.
struct Part {
    start: u64,
    end: u64,
    kind: Kind,
    name: NameId,
    len_bytes: u64,
    rss_bytes: u64,
    mappings: u64,
}

fn parts(space: &Space) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (entry, kind) in space.mappings() {
        let rss_bytes = entry.sizes.get(SmapsField::Rss).unwrap_or(0);
        match parts.last_mut() {
            Some(last) if last.kind == kind && last.name == entry.name => {
                last.end = entry.end;
                last.len_bytes += entry.len_bytes();
                last.rss_bytes += rss_bytes;
                last.mappings += 1;
            }
            _ => parts.push(Part {
                start: entry.start,
                end: entry.end,
                kind,
                name: entry.name,
                len_bytes: entry.len_bytes(),
                rss_bytes,
                mappings: 1,
            }),
        }
    }
    if parts.len() > PARTS_MAX {
        let mut sizes: Vec<u64> = parts.iter().map(|part| part.len_bytes).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let least = sizes.get(PARTS_MAX).copied().unwrap_or(0);
        parts.retain(|part| part.len_bytes > least);
    }
    parts
}

fn strip(html: &mut String, word: &str, space: &Space) {
    let parts = parts(space);
    let weight = |part: &Part| (unit::to_f64(part.len_bytes) / 2048.0).max(1.0).log2() + 1.0;
    let gaps = unit::to_f64(u64::try_from(parts.len().saturating_sub(1)).unwrap_or(0));
    let whole: f64 = parts.iter().map(weight).sum::<f64>().max(1.0);
    let total = space.total();
    let rss_bytes = total.sizes.get(SmapsField::Rss).unwrap_or(0);
    let _ = writeln!(
        html,
        "<figure class=\"space\"><figcaption><b>{word}</b> {} mappings, {} of addresses, {} \
         resident</figcaption>\n\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"Address space {word}, low addresses first; the same is in the tables below\">",
        unit::count(total.mappings),
        unit::size(total.len_bytes),
        unit::size(rss_bytes)
    );
    let scale = (WIDTH - gaps).max(WIDTH / 2.0) / whole;
    let mut x = 0.0;
    for part in &parts {
        let width = weight(part) * scale;
        let resident = unit::to_f64(part.rss_bytes.min(part.len_bytes)) / unit::to_f64(part.len_bytes.max(1));
        // A page of a terabyte can be seen.
        let height = if part.rss_bytes > 0 {
            (resident * HEIGHT).max(3.0)
        } else {
            0.0
        };
        let _ = writeln!(
            html,
            "<g class=\"{}\"><title>{:x}-{:x} {}: {}{}, {} resident</title>\
             <rect class=\"mapped\" x=\"{x:.1}\" y=\"0\" width=\"{width:.1}\" height=\"{HEIGHT}\"/>\
             <rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/></g>",
            part.kind.word(),
            part.start,
            part.end,
            escape(&shorten(
                &named(space.smaps().name(part.name), part.kind),
                NAME_COLUMNS
            )),
            unit::size(part.len_bytes),
            if part.mappings > 1 {
                format!(" in {} mappings", part.mappings)
            } else {
                String::new()
            },
            unit::size(part.rss_bytes),
            HEIGHT - height,
        );
        x += width + 1.0;
    }
    html.push_str("</svg></figure>\n");
}

fn legend(html: &mut String, spaces: &[&Space]) {
    html.push_str("<p class=\"legend\">");
    let there = |kind: &Kind| {
        spaces
            .iter()
            .any(|space| space.mappings().any(|(_, own)| own == *kind))
    };
    for kind in Kind::ALL.into_iter().filter(there) {
        let _ = write!(html, "<span><i class=\"key {0}\"></i>{0}</span> ", kind.word());
    }
    html.push_str("</p>\n");
}

fn kinds(html: &mut String, before: &Space, after: &Space) {
    let (before, after) = (before.by_kind(), after.by_kind());
    sortable(
        html,
        "Mappings by kind.",
        &[
            "Kind",
            "Mappings",
            "Addresses before",
            "After",
            "Resident before",
            "After",
            "Change",
        ],
    );
    for kind in Kind::ALL {
        let (was, is) = (before.get(&kind), after.get(&kind));
        if was.is_none() && is.is_none() {
            continue;
        }
        let (was, is) = (was.copied().unwrap_or_default(), is.copied().unwrap_or_default());
        let rss = |total: &neap_proc::model::Total| total.sizes.get(SmapsField::Rss).unwrap_or(0);
        let _ = write!(
            html,
            "<tr><th scope=\"row\"><i class=\"key {0}\"></i>{0}</th><td data-v=\"{2}\">{1} → {2}</td>",
            kind.word(),
            was.mappings,
            is.mappings
        );
        for bytes in [was.len_bytes, is.len_bytes, rss(&was), rss(&is)] {
            let _ = write!(html, "<td data-v=\"{bytes}\">{}</td>", unit::size(bytes));
        }
        delta(html, rss(&was), rss(&is));
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
}

fn delta(html: &mut String, was: u64, is: u64) {
    let (sign, order) = match is.cmp(&was) {
        std::cmp::Ordering::Greater => ("+", ""),
        std::cmp::Ordering::Less => ("−", "-"),
        std::cmp::Ordering::Equal => ("", ""),
    };
    let bytes = is.abs_diff(was);
    let _ = write!(
        html,
        "<td data-v=\"{order}{bytes}\">{sign}{}</td>",
        unit::size(bytes)
    );
}

fn changes(html: &mut String, changes: &[Change]) {
    if changes.is_empty() {
        html.push_str("<p>No mapping differs.</p>\n");
        return;
    }
    let rss = |side: &Option<Side>| side.and_then(|side| side.rss_bytes).unwrap_or(0);
    let len =
        |change: &Change, side: &Option<Side>| side.map_or(0, |side| side.end.saturating_sub(change.start));
    let mut largest: Vec<&Change> = changes.iter().collect();
    largest.sort_by_key(|change| {
        let moved = rss(&change.before).abs_diff(rss(&change.after));
        let length = len(change, &change.before).abs_diff(len(change, &change.after));
        std::cmp::Reverse((moved, length))
    });
    let caption = format!(
        "Mappings that are not as they were{}.",
        if changes.len() > CHANGES_MAX {
            format!(": the {CHANGES_MAX} that changed most of {}", changes.len())
        } else {
            String::new()
        }
    );
    sortable(
        html,
        &caption,
        &[
            "Start",
            "Kind",
            "Became",
            "Length before",
            "After",
            "Resident before",
            "After",
            "Change",
            "Name",
        ],
    );
    for change in largest.into_iter().take(CHANGES_MAX) {
        let _ = write!(
            html,
            "<tr><th scope=\"row\"><code>{:x}</code></th><td class=\"word\"><i class=\"key {1}\"></i>{1}</td>\
             <td class=\"word\">{2}</td>",
            change.start,
            change.kind.word(),
            fate(change.fate)
        );
        for side in [&change.before, &change.after] {
            let bytes = len(change, side);
            let _ = write!(html, "<td data-v=\"{bytes}\">{}</td>", unit::size(bytes));
        }
        for side in [&change.before, &change.after] {
            let bytes = rss(side);
            let _ = write!(html, "<td data-v=\"{bytes}\">{}</td>", unit::size(bytes));
        }
        delta(html, rss(&change.before), rss(&change.after));
        let name = shorten(&named(&change.name, change.kind), NAME_COLUMNS);
        let _ = writeln!(
            html,
            "<td class=\"text\"><code>{}</code></td></tr>",
            escape(&name)
        );
    }
    html.push_str("</tbody>\n</table></div>\n");
}

fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Appeared => "appeared",
        Fate::Went => "went",
        Fate::Grew => "grew",
        Fate::Shrank => "shrank",
        Fate::Changed => "is otherwise",
    }
}

fn named(name: &Name, kind: Kind) -> String {
    match name {
        Name::Anonymous if kind == Kind::Neap => "libneap.so's blocks or records".to_owned(),
        Name::Anonymous => "anonymous".to_owned(),
        Name::Named(name) => format!("[anon:{name}]"),
        Name::Special(name) => name.clone(),
        Name::File { path, deleted: false } => path.clone(),
        Name::File { path, deleted: true } => format!("{path} (deleted)"),
    }
}
