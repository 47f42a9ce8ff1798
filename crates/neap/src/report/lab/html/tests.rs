//! The page of a record that was made up: every text in it is hostile.

use std::collections::BTreeMap;

use super::page;
use crate::lab::experiment::Chapter;
use crate::lab::record::{Check, Circumstances, Event, Record, Run, Trial, Verdict};
use crate::lab::sight::{Sight, Watched};
use crate::lab::space::{Kind, Region};

const EVIL: &str = "</pre></script><script>alert('x')</script><img src=\"http://x/\" onerror=\"y\">&";

fn record() -> Record {
    let evil = || EVIL.to_owned();
    let sight = Sight {
        label: evil(),
        changes: vec![format!("+ 1000-2000 rw-p 0 00:00 0 /{EVIL}")],
        statm_pages: BTreeMap::from([("resident".to_owned(), 5)]),
        space: vec![Region {
            kind: Kind::File,
            name: evil(),
            start: 0x1000,
            end: 0x2000,
            mappings: 1,
            mapped_bytes: 0x1000,
        }],
        watched: vec![Watched {
            label: evil(),
            flags: evil(),
            len: 0x1000,
            cells: Some("3.1#".to_owned()),
            ..Watched::default()
        }],
        ..Sight::default()
    };
    let verdict = Verdict::Differs { how: vec![evil()] };
    let run = |malloc: String| Run {
        malloc,
        verdict: verdict.clone(),
        events: vec![
            Event::Look(Box::new(sight.clone())),
            Event::Check(Check {
                what: evil(),
                expected: evil(),
                found: evil(),
                holds: false,
            }),
            Event::Figure {
                what: evil(),
                found: evil(),
            },
            Event::Changed {
                what: evil(),
                from: evil(),
                to: evil(),
            },
        ],
    };
    let mut record = Record::begin(Circumstances {
        kernel: evil(),
        architecture: evil(),
        page_bytes: 4096,
        memory_bytes: None,
        swap_bytes: None,
        c_library: Some(evil()),
        transparent_huge_pages: Some(evil()),
        overcommit_memory: Some(evil()),
        cgroup_limit_bytes: None,
        is_root: true,
        may_change_system: false,
    });
    record.trials.push(Trial {
        name: evil(),
        chapter: Chapter::Brk,
        verdict: verdict.clone(),
        runs: vec![run("glibc".to_owned()), run(evil())],
    });
    record
}

#[test]
fn nothing_in_a_record_can_become_markup() {
    let html = page(&record());
    assert_eq!(html.matches("<script>").count(), 1, "its own");
    assert_eq!(html.matches("</script>").count(), 1);
    assert!(!html.contains("<img") && !html.contains("alert('x')</"), "{html}");
    assert!(html.contains("&lt;img src=&quot;http://x/&quot;"));
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let html = page(&record());
    assert!(html.contains("default-src 'none'"));
    for outside in ["src=\"", "url(", "@import", "href=\"http", "href=\"//", "fetch("] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn what_was_seen_is_there() {
    let html = page(&record());
    for part in [
        "statm resident",
        "<td class=\"same\">20</td>",
        "1 of 4 pages are there",
        "Side by side",
        "The address space: 1 parts",
        "pages 0 to 2: not there",
    ] {
        assert!(html.contains(part), "{part}");
    }
    let (opened, closed) = (
        html.matches("<details").count(),
        html.matches("</details>").count(),
    );
    assert_eq!(opened, closed);
    for element in [
        "div", "table", "svg", "ol", "li", "dl", "section", "p", "pre", "span",
    ] {
        let opened =
            html.matches(&format!("<{element}>")).count() + html.matches(&format!("<{element} ")).count();
        assert_eq!(
            opened,
            html.matches(&format!("</{element}>")).count(),
            "{element}"
        );
    }
}
