use super::*;
use crate::export::sample::{self, HOSTILE};
use std::collections::{HashMap, HashSet};

fn written(format: Format) -> String {
    write(&Arc::new(sample::scrape()), format).unwrap()
}

/// Name, labels, value.
type Sample = (String, Vec<(String, String)>, f64);

/// A line of a sample taken apart as the specification says, escapes undone.
fn parse(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (key, value) = rest.trim_start_matches(',').split_once("=\"").unwrap();
            let (mut text, mut chars) = (String::new(), value.char_indices());
            let end = loop {
                match chars.next().unwrap() {
                    (_, '\\') => text.push(match chars.next().unwrap().1 {
                        'n' => '\n',
                        escaped @ ('\\' | '"') => escaped,
                        other => panic!("\\{other} is no escape"),
                    }),
                    (at, '"') => break at,
                    (_, plain) => text.push(plain),
                }
            };
            labels.push((key.to_owned(), text));
            rest = &value[end + 1..];
        }
        rest = &rest[1..];
    }
    (name.to_owned(), labels, rest.trim().parse().unwrap())
}

fn samples(text: &str) -> Vec<Sample> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(parse)
        .collect()
}

#[test]
fn values_and_labels_come_back_as_they_were() {
    let open = samples(&written(Format::OpenMetrics));
    let value = |name: &str, wanted: &[(&str, &str)]| {
        let has = |labels: &[(String, String)]| {
            wanted
                .iter()
                .all(|(key, text)| labels.iter().any(|label| (&*label.0, &*label.1) == (*key, *text)))
        };
        let found: Vec<f64> = open
            .iter()
            .filter(|row| row.0 == name && has(&row.1))
            .map(|row| row.2)
            .collect();
        assert_eq!(found.len(), 1, "{name} {wanted:?}: {found:?}");
        found[0]
    };
    let process = [("pid", "7"), ("name", HOSTILE)];
    for (name, wanted) in [
        ("neap_process_resident_bytes", 1001.0),
        ("neap_process_resident_shmem_bytes", 0.0),
        ("neap_process_shares_age_seconds", 0.25),
        ("neap_process_start_time_seconds", 1_795_260_676.5),
        ("neap_heap_held_bytes", 2001.0),
        ("neap_heap_given_back_bytes_total", 2007.0),
        ("neap_heap_memory_call_bytes_total", 32.0),
        ("neap_heap_memory_call_failures_total", 33.0),
        ("neap_heap_class_live_blocks", 41.0),
    ] {
        assert!((value(name, &process) - wanted).abs() < 1e-9, "{name}");
    }
    let exact =
        |name, labels: &[_], wanted: f64| assert!((value(name, labels) - wanted).abs() < 1e-9, "{name}");
    exact(
        "neap_process_page_faults_total",
        &[("pid", "7"), ("kind", "major")],
        12.0,
    );
    exact(
        "neap_process_cpu_seconds_total",
        &[("pid", "7"), ("mode", "user")],
        2.5,
    );
    exact(
        "neap_cgroup_used_bytes",
        &[("cgroup", "/system.slice/a.service")],
        4096.0,
    );
    exact("neap_machine_pressure_seconds_total", &[("tasks", "some")], 1.5);
    exact("neap_machine_pressure_ratio", &[("window", "10s")], 0.015);
    exact("neap_export_processes", &[("state", "left_out")], 1.0);
    exact("neap_export_errors_total", &[("cause", "busy")], 3.0);
}

#[test]
fn what_is_denied_or_absent_has_no_series_and_never_a_zero() {
    for format in [Format::OpenMetrics, Format::Prometheus] {
        let rows = samples(&written(format));
        let of = |pid: &str| -> HashSet<String> {
            let has = |row: &&Sample| row.1.contains(&("pid".to_owned(), pid.to_owned()));
            rows.iter().filter(has).map(|row| row.0.clone()).collect()
        };
        assert_eq!(
            of("8"),
            HashSet::from(["neap_process_info", "neap_process_start_time_seconds"].map(str::to_owned))
        );
        assert!(!of("7").contains("neap_heap_live_bytes"), "not counted yet");
        assert!(
            !rows.iter().any(|row| row.0 == "neap_cgroup_limit_bytes"),
            "no limit is no limit of 0"
        );
        let denied = rows
            .iter()
            .find(|row| row.0 == "neap_process_unreadable")
            .unwrap();
        assert_eq!(denied.2.to_string(), "1");
    }
}

#[test]
fn openmetrics_is_complete_and_in_order() {
    let text = written(Format::OpenMetrics);
    assert!(text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1);
    let mut family = (String::new(), "", HashSet::new());
    let mut done = HashSet::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let name = help.split_once(' ').unwrap().0;
            assert!(done.insert(name.to_owned()), "{name} is not in one piece");
            family = (name.to_owned(), "", HashSet::new());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, family.0);
            family.1 = ["gauge", "counter", "info"]
                .into_iter()
                .find(|known| *known == kind)
                .unwrap();
        } else if let Some(unit) = line.strip_prefix("# UNIT ") {
            let (name, unit) = unit.split_once(' ').unwrap();
            assert!(name == family.0 && name.ends_with(&format!("_{unit}")), "{line}");
        } else {
            let (name, labels, value) = parse(line);
            let suffix = match family.1 {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            assert_eq!(name, format!("{}{suffix}", family.0));
            assert!(
                value.is_finite() && (family.1 != "counter" || value >= 0.0),
                "{line}"
            );
            assert!(family.2.insert(format!("{labels:?}")), "{line} is there twice");
            let mut keys = HashSet::new();
            assert!(
                labels.iter().all(|(key, _)| keys.insert(key)),
                "{line}: a label is there twice"
            );
        }
    }
    assert!(done.len() > 40);
}

#[test]
fn the_older_text_has_the_same_samples_under_declared_names() {
    let (open, older) = (written(Format::OpenMetrics), written(Format::Prometheus));
    assert_eq!(samples(&open), samples(&older));
    assert!(!older.contains("# UNIT") && !older.contains("# EOF"));
    let declared: HashMap<&str, &str> = older
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    for (name, _, _) in samples(&older) {
        let kind = declared
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} has no type"));
        assert_eq!(*kind == "counter", name.ends_with("_total"), "{name}");
        assert!(["gauge", "counter"].contains(kind));
    }
}

#[test]
fn json_has_its_schema_and_a_reason_for_each_null() {
    let scrape = sample::scrape();
    let bytes = crate::report::json::bytes(&crate::report::export::build(&scrape));
    let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(json["schema"], "neap.export/1");
    assert_eq!(json["processes"][0]["name"], HOSTILE);
    assert_eq!(json["processes"][0]["heap"]["held_bytes"], 2001);
    let mut nulls = Vec::new();
    find_nulls(&json, String::new(), &mut nulls);
    let reasons = json["not_available"].as_object().unwrap();
    let told: HashSet<&str> = reasons.keys().map(String::as_str).collect();
    assert_eq!(nulls.iter().map(String::as_str).collect::<HashSet<_>>(), told);
    assert_eq!(reasons["groups[0].limit_bytes"], "no limit is set");
    assert_eq!(reasons["processes[1].resident_bytes"], "permission denied");
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
            for (name, field) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                find_nulls(field, format!("{path}{dot}{name}"), nulls);
            }
        }
        _ => {}
    }
}
