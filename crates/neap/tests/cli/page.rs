//! The page that `neap lab --report` writes, in a browser without a screen: it loads nothing, says nothing on
//! the console, and its filter works.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::{folder, missing, neap, stderr};

/// Listens before the page's own script runs.
const BEFORE: &str = r#"<head><script>
const problems = [];
addEventListener("error", (event) => problems.push(String(event.message)));
addEventListener("securitypolicyviolation", (event) => problems.push("loads " + event.blockedURI));
for (const level of ["error", "warn"]) console[level] = (...words) => problems.push(words.join(" "));
</script>"#;

/// Uses the filter as a reader does, and leaves what it saw in the page.
const AFTER: &str = r#"<script>
const all = () => [...document.querySelectorAll("details.trial")];
const shown = () => all().filter((trial) => trial.checkVisibility()).map((trial) => trial.id);
const search = document.getElementById("search");
const type = (words) => { search.value = words; search.dispatchEvent(new Event("input")); };
const seen = { all: all().length, first: shown().length };
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
seen.loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
document.getElementById("open").click();
seen.tooWide = document.documentElement.scrollWidth > innerWidth;
seen.problems = problems;
document.documentElement.dataset.seen = encodeURIComponent(JSON.stringify(seen));
</script></body>"#;

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
    assert_eq!(
        (html.matches("<head>").count(), html.matches("</body>").count()),
        (1, 1)
    );
    fs::write(&page, html.replace("<head>", BEFORE).replace("</body>", AFTER)).unwrap();
    let browser = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--dump-dom",
        ])
        // As narrow as its window can be.
        .arg("--window-size=500,900")
        .arg(format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        ))
        .arg(format!("file://{}", page.display()))
        .env_remove("LD_PRELOAD")
        .output();
    let Ok(browser) = browser else {
        missing(test, "chromium is not installed");
        return;
    };
    let dom = String::from_utf8_lossy(&browser.stdout).into_owned();
    let seen = seen(&dom).unwrap_or_else(|| panic!("the page's script did not end: {browser:?}"));
    assert_eq!(seen["problems"], Value::Array(vec![]), "{seen:#}");
    assert_eq!(seen["loaded"], Value::Array(vec![]), "{seen:#}");
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

/// What the script left.
fn seen(dom: &str) -> Option<Value> {
    let (_, rest) = dom.split_once("data-seen=\"")?;
    let (text, _) = rest.split_once('"')?;
    let bytes = text.as_bytes();
    let mut plain = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| u8::from_str_radix(text.get(at + 1..at + 3)?, 16).ok())
            .flatten();
        plain.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    serde_json::from_slice(&plain).ok()
}
