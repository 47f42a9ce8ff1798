//! The files of contrib/: they parse, real tools accept them, and they name only what there is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use saphyr::{LoadableYamlNode, Yaml};

use crate::support::{folder, missing};

fn contrib(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../contrib")
        .join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(contrib(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_rules_are_right_and_fire_when_they_should() {
    let test = "the_rules_are_right_and_fire_when_they_should";
    for arguments in [
        ["check", "rules", "neap.rules.yml"],
        ["test", "rules", "neap.rules.test.yml"],
    ] {
        let run = Command::new("promtool")
            .args(arguments)
            .current_dir(contrib("prometheus"))
            .output();
        let Ok(output) = run else {
            return missing(test, "promtool is not installed (Debian: prometheus)");
        };
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    let folder = folder();
    std::fs::copy(
        contrib("prometheus/scrape.yml"),
        folder.path().join("prometheus.yml"),
    )
    .unwrap();
    std::fs::copy(
        contrib("prometheus/neap.rules.yml"),
        folder.path().join("neap.rules.yml"),
    )
    .unwrap();
    let output = Command::new("promtool")
        .args(["check", "config", "prometheus.yml"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_dashboard_is_whole() {
    let json: serde_json::Value = serde_json::from_str(&read("grafana/neap.json")).unwrap();
    assert!(json["schemaVersion"].as_u64().unwrap() >= 39 && json["uid"] == "neap-fleet");
    let panels = json["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "an id is there twice");
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                assert!(x < 24 && taken.insert((x, y)), "{} overlaps", panel["title"]);
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty() && targets.iter().all(|target| target["expr"].as_str().is_some()));
    }
    let variables: Vec<&str> = json["templating"]["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(variables, ["datasource", "job", "instance", "name"]);
}

#[test]
fn queries_of_the_dashboard_are_promql() {
    let test = "queries_of_the_dashboard_are_promql";
    let json: serde_json::Value = serde_json::from_str(&read("grafana/neap.json")).unwrap();
    let targets = json["panels"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let mut rules = String::from("groups:\n  - name: panels\n    rules:\n");
    for (index, target) in targets.flatten().enumerate() {
        let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
        rules += &format!(
            "      - record: panel:{index}\n        expr: {}\n",
            serde_json::json!(expression)
        );
    }
    let folder = folder();
    std::fs::write(folder.path().join("rules.yml"), &rules).unwrap();
    let check = Command::new("promtool")
        .args(["check", "rules", "rules.yml"])
        .current_dir(folder.path())
        .output();
    let Ok(check) = check else {
        return missing(test, "promtool is not installed (Debian: prometheus)");
    };
    assert!(check.status.success(), "{check:?}\n{rules}");
}

#[test]
fn units_are_accepted_by_systemd_and_keep_few_rights() {
    let test = "units_are_accepted_by_systemd_and_keep_few_rights";
    let folder = folder();
    for unit in [
        "neap-export.service",
        "neap-textfile.service",
        "neap-textfile.timer",
    ] {
        // The program must be there to be verified.
        let text = read(&format!("systemd/{unit}"));
        let text = text.replace("/usr/local/bin/neap", env!("CARGO_BIN_EXE_neap"));
        std::fs::write(folder.path().join(unit), text).unwrap();
        let verify = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(folder.path().join(unit))
            .output();
        let Ok(verify) = verify else {
            return missing(test, "systemd-analyze is not installed (Debian: systemd)");
        };
        assert!(
            verify.status.success() && verify.stderr.is_empty(),
            "{unit}: {verify:?}"
        );
    }
    // An exposure of 2.5 of 10 at most.
    let security = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=25", "--no-pager"])
        .arg(folder.path().join("neap-export.service"))
        .output()
        .unwrap();
    assert!(security.status.success(), "{security:?}");
    let conf = read("systemd/libneap.conf");
    assert!(conf.contains("[Service]\nEnvironment=LD_PRELOAD=/usr/local/lib/libneap.so\n"));
}

/// The documents of a YAML file.
fn yaml(text: &str) -> Vec<Yaml<'_>> {
    Yaml::load_from_str(text).unwrap()
}

#[test]
fn manifests_say_what_the_exporter_needs_and_no_more() {
    let text = read("kubernetes/daemonset.yaml");
    let daemon = &yaml(&text)[0];
    assert_eq!(daemon["kind"].as_str(), Some("DaemonSet"));
    let pod = &daemon["spec"]["template"]["spec"];
    assert_eq!(pod["hostPID"].as_bool(), Some(true));
    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    assert_eq!(security["capabilities"]["add"][0].as_str(), Some("SYS_PTRACE"));
    assert_eq!(security["capabilities"]["drop"][0].as_str(), Some("ALL"));
    assert_eq!(security["allowPrivilegeEscalation"].as_bool(), Some(false));
    assert!(container["resources"]["limits"]["memory"].as_str().is_some());
    assert_eq!(container["ports"][0]["containerPort"].as_integer(), Some(6327));
    let selected = daemon["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"].as_str();

    let text = read("kubernetes/podmonitor.yaml");
    let monitor = &yaml(&text)[0]["spec"];
    assert_eq!(
        monitor["selector"]["matchLabels"]["app.kubernetes.io/name"].as_str(),
        selected
    );
    assert_eq!(
        monitor["podMetricsEndpoints"][0]["port"].as_str(),
        container["ports"][0]["name"].as_str()
    );

    let text = read("kubernetes/sidecar.yaml");
    let pod = &yaml(&text)[0]["spec"]["template"]["spec"];
    assert_eq!(pod["shareProcessNamespace"].as_bool(), Some(true));
    assert_eq!(pod["securityContext"]["runAsNonRoot"].as_bool(), Some(true));
    assert!(pod.as_mapping_get("hostPID").is_none());
}

#[test]
fn arguments_in_units_and_manifests_are_ones_that_neap_has() {
    let mut lines = Vec::new();
    for path in ["kubernetes/daemonset.yaml", "kubernetes/sidecar.yaml"] {
        let text = read(path);
        for container in yaml(&text)[0]["spec"]["template"]["spec"]["containers"]
            .as_sequence()
            .unwrap()
        {
            if container["name"].as_str() == Some("neap-export") {
                let arguments = container["args"].as_sequence().unwrap();
                lines.push(
                    arguments
                        .iter()
                        .map(|word| word.as_str().unwrap().to_owned())
                        .collect::<Vec<_>>(),
                );
            }
        }
    }
    for path in ["systemd/neap-export.service", "systemd/neap-textfile.service"] {
        let text = read(path);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/neap "))
            .unwrap();
        lines.push(line.split(' ').map(str::to_owned).collect());
    }
    assert_eq!(lines.len(), 4);
    for mut line in lines {
        // An unknown word is refused before help is; help ends before anything is served.
        line.push("--help".to_owned());
        let output = crate::support::neap().args(&line).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{line:?}: {output:?}");
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        for option in line.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(option.as_str()), "{option}");
        }
    }
}
