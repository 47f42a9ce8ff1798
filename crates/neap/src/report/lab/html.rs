//! A record as one HTML file that needs nothing else: styles, pictures and the filter are inside, and its own
//! policy forbids the browser to load anything.
//!
//! This file has the page as a whole: the machine, the table of verdicts, the filter. [`trial`] has an
//! experiment, [`picture`] what is drawn. Without scripts every experiment is there and can be opened.

use std::fmt::Write as _;

use clap::ValueEnum as _;

use crate::lab;
use crate::lab::experiment::Chapter;
use crate::lab::record::{Record, Trial};
use crate::report::markup::{POLICY, THEME, escape};
use crate::unit;

mod picture;
mod trial;

const STYLE: &str = include_str!("html/lab.css");
const SCRIPT: &str = include_str!("html/lab.js");

/// The verdicts: the word, its class in the page, and the heading of its column.
const VERDICTS: [(&str, &str, &str); 3] = [
    ("confirmed", "good", "confirmed"),
    ("differs", "bad", "differ"),
    ("cannot run here", "dim", "cannot run here"),
];

/// The whole file.
pub(crate) fn page(record: &Record) -> String {
    let mut page = Page { html: String::new() };
    page.put(&format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>neap lab on Linux {}</title>\n<style>\n{THEME}{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>neap lab</h1>\n<p>What the kernel&#39;s memory calls did on this machine, each tried in a \
         process of \
         its own and looked at from outside.</p>\n",
        escape(&record.circumstances.kernel)
    ));
    page.facts(record);
    page.overview(record);
    page.controls(record);
    picture::legend(&mut page.html);
    for chapter in Chapter::value_variants() {
        page.chapter(*chapter, record);
    }
    page.put(&format!(
        "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    ));
    page.html
}

/// The class of a trial's verdict.
fn class(word: &str) -> &'static str {
    VERDICTS
        .iter()
        .find(|(known, ..)| *known == word)
        .map_or("dim", |(_, class, _)| class)
}

fn trials(record: &Record, chapter: Chapter) -> impl Iterator<Item = &Trial> {
    record.trials.iter().filter(move |trial| trial.chapter == chapter)
}

struct Page {
    html: String,
}

impl Page {
    fn put(&mut self, text: &str) {
        self.html.push_str(text);
    }

    fn facts(&mut self, record: &Record) {
        let at = &record.circumstances;
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "n/a".to_owned());
        let bytes = |value: Option<u64>, none: &str| value.map_or_else(|| none.to_owned(), unit::size);
        let user = match (at.is_root, at.may_change_system) {
            (true, true) => "root, with --allow-system",
            (true, false) => "root; settings of the system are left alone",
            (false, _) => "an unprivileged user",
        };
        let facts = [
            ("Kernel", format!("{} {}", at.kernel, at.architecture)),
            ("C library", text(&at.c_library)),
            ("Memory", bytes(at.memory_bytes, "n/a")),
            ("Swap", bytes(at.swap_bytes, "n/a")),
            (
                "Limit of the group",
                bytes(at.cgroup_limit_bytes, "none, or it cannot be read"),
            ),
            ("Page", unit::size(at.page_bytes)),
            ("Transparent huge pages", text(&at.transparent_huge_pages)),
            ("vm.overcommit_memory", text(&at.overcommit_memory)),
            ("Run by", user.to_owned()),
            ("neap", record.version.clone()),
        ];
        self.put("<dl>\n");
        for (name, value) in facts {
            self.put(&format!("<dt>{name}</dt><dd>{}</dd>\n", escape(&value)));
        }
        self.put("</dl>\n");
    }

    fn overview(&mut self, record: &Record) {
        self.put(
            "<h2>Verdicts</h2>\n<div class=\"wide\"><table class=\"verdicts\">\n<thead><tr><th \
         scope=\"col\">Chapter</th>",
        );
        for (_, _, heading) in VERDICTS {
            self.put(&format!("<th scope=\"col\">{heading}</th>"));
        }
        self.put("<th scope=\"col\">of</th></tr></thead>\n<tbody>\n");
        for chapter in Chapter::value_variants() {
            if trials(record, *chapter).next().is_some() {
                let link = format!(
                    "<a href=\"#chapter-{}\">{}</a>",
                    chapter.name(),
                    chapter.heading()
                );
                self.counts(&link, trials(record, *chapter));
            }
        }
        self.put("</tbody>\n<tfoot>\n");
        self.counts("All", record.trials.iter());
        self.put("</tfoot>\n</table></div>\n");
    }

    fn counts<'a>(&mut self, head: &str, trials: impl Iterator<Item = &'a Trial>) {
        let words: Vec<&str> = trials.map(|trial| trial.verdict.word()).collect();
        self.put(&format!("<tr><th scope=\"row\">{head}</th>"));
        for (word, class, _) in VERDICTS {
            let count = words.iter().filter(|found| **found == word).count();
            let class = if count == 0 { "none" } else { class };
            self.put(&format!("<td class=\"{class}\">{count}</td>"));
        }
        self.put(&format!("<td>{}</td></tr>\n", words.len()));
    }

    /// Hidden until the script shows them.
    fn controls(&mut self, record: &Record) {
        self.put(
            "<form class=\"controls\" id=\"controls\" role=\"search\" hidden>\n\
             <label>Search <input type=\"search\" id=\"search\" autocomplete=\"off\" \
             placeholder=\"a name, a call, a word (key: /)\"></label>\n\
             <fieldset><legend>Verdict</legend>\n",
        );
        for (word, class, _) in VERDICTS {
            let count = record
                .trials
                .iter()
                .filter(|trial| trial.verdict.word() == word)
                .count();
            let _ = writeln!(
                self.html,
                "<label class=\"{class}\"><input type=\"checkbox\" name=\"verdict\" value=\"{class}\" \
                 checked> \
                 {word} ({count})</label>"
            );
        }
        self.put(
            "</fieldset>\n<button type=\"button\" id=\"open\">Open all</button>\n\
             <button type=\"button\" id=\"close\">Close all</button>\n\
             <output id=\"shown\" aria-live=\"polite\"></output>\n</form>\n",
        );
    }

    fn chapter(&mut self, chapter: Chapter, record: &Record) {
        if trials(record, chapter).next().is_none() {
            return;
        }
        self.put(&format!(
            "<section class=\"chapter\" id=\"chapter-{}\">\n<h2>{}</h2>\n",
            chapter.name(),
            chapter.heading()
        ));
        for trial in trials(record, chapter) {
            let html = &mut self.html;
            trial::put(
                html,
                lab::named(&trial.name),
                trial,
                record.circumstances.page_bytes,
            );
        }
        self.put("</section>\n");
    }
}

#[cfg(test)]
mod tests;
