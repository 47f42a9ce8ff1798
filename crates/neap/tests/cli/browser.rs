//! A browser without a screen: opens a page, lets a script use it as a reader does, and returns what the
//! script saw.

use std::fs;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::missing;

/// Listens before the page's own scripts run.
const BEFORE: &str = r#"<head><script>
const problems = [];
addEventListener("error", (event) => problems.push(String(event.message)));
addEventListener("unhandledrejection", (event) => problems.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => problems.push("loads " + event.blockedURI));
for (const level of ["error", "warn"]) console[level] = (...words) => problems.push(words.join(" "));
</script>"#;

/// What every script ends with.
const AFTER: &str = r#"
seen.loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
seen.problems = problems;
const text = encodeURIComponent(JSON.stringify(seen));
(parent === window ? document : parent.document).documentElement.dataset.seen = text;
})();
</script></body>"#;

/// Who looks at the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A window as narrow as a browser's can be: 500 pixels.
    NarrowWindow,
    /// A window of 1200 pixels.
    Desktop,
    /// A frame of 360 pixels, as a phone has.
    Phone,
}

/// Runs `script`, which fills the object `seen` and may wait, after the page is there. `None` skips the test
/// that called: there is no browser. Whatever the page loads or complains of fails the test.
#[track_caller]
pub(crate) fn look(test: &str, folder: &TempDir, html: &str, reader: Reader, script: &str) -> Option<Value> {
    assert_eq!(
        (html.matches("<head>").count(), html.matches("</body>").count()),
        (1, 1)
    );
    let after = format!("<script>\n(async () => {{\nconst seen = {{}};\n{script}\n{AFTER}");
    let html = html.replace("<head>", BEFORE).replace("</body>", &after);
    let page = folder.path().join("looked-at.html");
    if reader == Reader::Phone {
        let inner = html.replace('&', "&amp;").replace('"', "&quot;");
        let frame = "width:360px;height:740px;border:0";
        fs::write(
            &page,
            format!("<!DOCTYPE html><iframe style=\"{frame}\" srcdoc=\"{inner}\"></iframe>"),
        )
        .unwrap();
    } else {
        fs::write(&page, html).unwrap();
    }
    let profile = folder.path().join("profile");
    let width = if reader == Reader::Desktop { 1200 } else { 500 };
    let browser = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--virtual-time-budget=20000",
            "--dump-dom",
        ])
        .arg(format!("--window-size={width},900"))
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}", page.display()))
        .env_remove("LD_PRELOAD")
        .output();
    let Ok(browser) = browser else {
        missing(test, "chromium is not installed");
        return None;
    };
    let dom = String::from_utf8_lossy(&browser.stdout);
    let seen = seen(&dom).unwrap_or_else(|| {
        let errors = String::from_utf8_lossy(&browser.stderr);
        panic!("the script did not end: {} {errors}", browser.status)
    });
    assert_eq!(seen["problems"], Value::Array(vec![]), "{seen:#}");
    assert_eq!(seen["loaded"], Value::Array(vec![]), "{seen:#}");
    Some(seen)
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
