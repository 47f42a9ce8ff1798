//! The page that `neap lab --report` writes, in a browser without a screen: it loads nothing, says nothing on
//! the console, and its filter works.

use std::fs;

use crate::browser::{Reader, look};
use crate::support::{folder, neap, stderr};

/// Uses the filter as a reader does, and leaves what it saw in the page.
const USE: &str = r#"
const all = () => [...document.querySelectorAll("details.trial")];
const shown = () => all().filter((trial) => trial.checkVisibility()).map((trial) => trial.id);
const search = document.getElementById("search");
const type = (words) => { search.value = words; search.dispatchEvent(new Event("input")); };
Object.assign(seen, { all: all().length, first: shown().length });
type("Munmap-40 unmapped");
seen.searched = shown();
type("no such words anywhere");
seen.nothing = [shown().length, document.querySelectorAll("section.chapter:not([hidden])").length];
type("");
const box = document.querySelector("input[value=good]");
box.click();
seen.withoutConfirmed = shown().length;
box.click();
document.getElementById("open").click();
seen.opened = all().filter((trial) => trial.open).length;
document.getElementById("close").click();
seen.closed = all().filter((trial) => trial.open).length;
dispatchEvent(new HashChangeEvent("hashchange"));
document.dispatchEvent(new KeyboardEvent("keydown", { key: "/", bubbles: true, cancelable: true }));
seen.focus = document.activeElement.id;
seen.output = document.getElementById("shown").textContent;
document.getElementById("open").click();
seen.tooWide = document.documentElement.scrollWidth > innerWidth;
"#;

#[test]
fn the_page_of_a_record_can_be_searched_and_loads_nothing() {
    let test = "the_page_of_a_record_can_be_searched_and_loads_nothing";
    let folder = folder();
    let page = folder.path().join("lab.html");
    let output = neap()
        .args(["lab", "--chapter", "munmap,brk", "--report"])
        .arg(&page)
        .output()
        .unwrap();
    assert_ne!(output.status.code(), Some(125), "{}", stderr(&output));
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.ends_with("</html>\n") && html.contains("munmap-40-of-20-bytes"));
    let Some(seen) = look(test, &folder, &html, Reader::NarrowWindow, USE) else {
        return;
    };
    assert!(seen["all"].as_u64().unwrap() >= 6, "{seen:#}");
    assert_eq!(seen["first"], seen["all"]);
    assert_eq!(seen["searched"], serde_json::json!(["munmap-40-of-20-bytes"]));
    assert_eq!(seen["nothing"], serde_json::json!([0, 0]));
    assert!(
        seen["withoutConfirmed"].as_u64() < seen["all"].as_u64(),
        "{seen:#}"
    );
    assert_eq!((&seen["opened"], &seen["closed"]), (&seen["all"], &0.into()));
    assert_eq!(seen["focus"], "search");
    assert_eq!(seen["output"], format!("{0} of {0} shown", seen["all"]));
    assert_eq!(
        seen["tooWide"], false,
        "a narrow screen need not be scrolled sideways"
    );
}
