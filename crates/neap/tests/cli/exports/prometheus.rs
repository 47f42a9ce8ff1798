//! Scraped by the real Prometheus: its values are those of /proc, and it has nothing to object to.

use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::client::{Client, Server};
use super::{Running, assert_same, library_and_rights};
use crate::support::{compile, folder, missing, wait_until};

/// Holds 8 MiB in 8192 blocks under libneap.so, with a name that has to be escaped.
const HOLDER: &str = r#"
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(void) {
    prctl(PR_SET_NAME, "hold\"er\\1");
    for (int i = 0; i < 8192; i++) memset(malloc(1000), 1, 1000);
    void *burst[256];
    for (int i = 0; i < 256; i++) memset(burst[i] = malloc(65536), 1, 65536);
    for (int i = 0; i < 256; i++) free(burst[i]);
    pause();
}
"#;

/// A Prometheus that scrapes one target every second.
struct Prometheus {
    _running: Running,
    client: Client,
}

impl Prometheus {
    /// In a folder of its own, at a free port of loopback. `None` skips the test that called.
    fn start(test: &str, folder: &std::path::Path, target: &str) -> Option<Prometheus> {
        let configuration = folder.join("prometheus.yml");
        std::fs::write(
            &configuration,
            format!(
                "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n  - job_name: neap\n    \
                 static_configs: [{{targets: [\"{target}\"]}}]\n"
            ),
        )
        .unwrap();
        // Free when it was asked for; Prometheus binds it a moment later.
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .to_string();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--storage.tsdb.retention.size=64MB", "--log.level=warn"])
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if Command::new("prometheus").arg("--version").output().is_err() {
            missing(test, "prometheus is not installed");
            return None;
        }
        let prometheus = Prometheus {
            _running: Running::start(&mut command),
            client: Client { address },
        };
        wait_until("Prometheus to be ready", || {
            let client = &prometheus.client;
            TcpStream::connect(&client.address).is_ok()
                && client.request("GET", "/-/ready", "Connection: close\r\n").status == 200
        });
        Some(prometheus)
    }

    fn api(&self, path: &str) -> Value {
        let reply = self.client.request("GET", path, "Connection: close\r\n");
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        let text = reply.text();
        // A long answer comes in chunks; the document is what lies between the outer brackets.
        let body = if reply.header("transfer-encoding") == Some("chunked") {
            unchunked(&text)
        } else {
            text
        };
        let json: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        assert_eq!(json["status"], "success", "{json}");
        json["data"].clone()
    }

    /// The series of an instant query.
    fn query(&self, query: &str) -> Vec<Value> {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let data = self.api(&format!("/api/v1/query?query={escaped}"));
        data["result"].as_array().unwrap().clone()
    }
}

/// Puts the chunks of a body together.
fn unchunked(text: &str) -> String {
    let (mut rest, mut body) = (text, String::new());
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        body += &more[..size];
        rest = &more[size + 2..];
    }
    body
}

fn value(series: &Value) -> f64 {
    series["value"][1].as_str().unwrap().parse().unwrap()
}

#[test]
fn prometheus_has_the_values_of_proc_and_no_complaint() {
    let test = "prometheus_has_the_values_of_proc_and_no_complaint";
    let folder = folder();
    let child = Running::idle();
    let exporter = Server::start(&["--pid", &child.pid()]);
    let Some(prometheus) = Prometheus::start(test, folder.path(), &exporter.address) else {
        return;
    };
    wait_until("a scrape", || {
        prometheus.query("up").first().is_some_and(|up| value(up) > 0.5)
    });
    let targets = prometheus.api("/api/v1/targets");
    let target = &targets["activeTargets"][0];
    assert_eq!(
        (target["health"].as_str(), target["lastError"].as_str()),
        (Some("up"), Some("")),
        "{target}"
    );
    let one = |query: &str| {
        let found = prometheus.query(query);
        assert_eq!(found.len(), 1, "{query}: {found:?}");
        found[0].clone()
    };
    let pid = child.pid();
    for (family, key) in [
        ("neap_process_resident_bytes", "VmRSS"),
        ("neap_process_virtual_bytes", "VmSize"),
        ("neap_process_swap_bytes", "VmSwap"),
    ] {
        let series = one(&format!("{family}{{pid=\"{pid}\"}}"));
        assert_same(value(&series), child.bytes(key), family);
        assert_eq!(series["metric"]["name"], "sleep");
    }
    let total = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = total
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .unwrap();
    let total: f64 = total.trim().trim_end_matches(" kB").parse().unwrap();
    assert_same(
        value(&one("neap_machine_memory_bytes")),
        total * 1024.0,
        "MemTotal",
    );
    // Types, units and help arrived as well, so the text was read as OpenMetrics.
    let metadata = prometheus.api("/api/v1/targets/metadata?metric=neap_process_resident_bytes");
    assert_eq!(
        (&metadata[0]["type"], &metadata[0]["unit"]),
        (&"gauge".into(), &"bytes".into()),
        "{metadata}"
    );
    child.end();
    wait_until("the series to be stale", || {
        prometheus.query("neap_process_resident_bytes").is_empty()
    });
}

#[test]
fn prometheus_sees_a_heap_under_a_name_that_must_be_escaped() {
    let test = "prometheus_sees_a_heap_under_a_name_that_must_be_escaped";
    let Some(library) = library_and_rights(test) else {
        return;
    };
    let folder = folder();
    let Some(program) = compile(test, &folder, "holder", HOLDER, &["-O0"]) else {
        return;
    };
    let holder = Running::start(Command::new(program).env("LD_PRELOAD", &library));
    let exporter = Server::start(&["--under-libneap", "--pid", &holder.pid()]);
    let Some(prometheus) = Prometheus::start(test, folder.path(), &exporter.address) else {
        return;
    };
    let live = || prometheus.query("neap_heap_live_bytes{name=\"hold\\\"er\\\\1\"}");
    wait_until("live blocks to be counted", || {
        live().first().is_some_and(|live| value(live) > 8e6)
    });
    let live = live();
    assert_eq!(live.len(), 1);
    assert_eq!(live[0]["metric"]["pid"], holder.pid());
    let held = prometheus.query("neap_heap_held_bytes >= on (pid) neap_heap_live_bytes");
    assert_eq!(held.len(), 1, "{held:?}");
    let down = prometheus.query("scrape_samples_post_metric_relabeling > 0 and up == 1");
    assert_eq!(down.len(), 1, "{down:?}");
}
