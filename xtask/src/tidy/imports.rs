//! Which crate of the workspace may depend on which, by its Cargo.toml.

use crate::Outcome;
use crate::artifacts::root;
use std::fs;

/// Crate (folder) and what it may depend on. Tests of a crate may depend on the same and no more.
const ALLOWED: [(&str, &[&str]); 8] = [
    ("crates/os", &[]),
    ("crates/abi", &[]),
    ("crates/heap", &["os", "abi"]),
    ("crates/preload", &["heap", "os", "abi"]),
    ("crates/map", &["os"]),
    ("crates/proc", &["os"]),
    ("crates/neap", &["map", "proc", "abi", "os"]),
    ("xtask", &[]),
];

/// Crates that end up in libneap.so: these depend on nothing outside the workspace.
const SHIPPED_BARE: [&str; 4] = ["crates/os", "crates/abi", "crates/heap", "crates/preload"];

/// In the command, only the lab meets the OS layer.
const ONLY_IN: [(&str, &str, &str); 1] = [("crates/neap/src/", "neap_os", "crates/neap/src/lab")];

/// Findings over every Cargo.toml of a known crate, and the modules that may use a crate.
pub(crate) fn check() -> Outcome<Vec<String>> {
    let mut findings = Vec::new();
    for (folder, allowed) in ALLOWED {
        let path = root().join(folder).join("Cargo.toml");
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let bare = SHIPPED_BARE.contains(&folder);
        findings.extend(in_manifest(&format!("{folder}/Cargo.toml"), &text, allowed, bare));
    }
    for source in super::source::all()? {
        for (under, name, only) in ONLY_IN {
            let elsewhere = source.path.starts_with(under) && !source.path.starts_with(only);
            if elsewhere && source.code.contains(name) {
                findings.push(format!("{}: {name} is for {only} only", source.path));
            }
        }
    }
    Ok(findings)
}

fn in_manifest(path: &str, text: &str, allowed: &[&str], bare: bool) -> Vec<String> {
    let mut findings = Vec::new();
    for (section, name) in dependencies(text) {
        match name.strip_prefix("neap-") {
            Some(short) if allowed.contains(&short) => {}
            Some(_) => findings.push(format!("{path}: may not depend on {name}")),
            None if bare && section == "dependencies" => {
                findings.push(format!(
                    "{path}: goes into libneap.so and may not depend on {name}"
                ));
            }
            None => {}
        }
    }
    findings
}

/// Section and name of every dependency, in either form: `[dependencies]` with `name = ...` below,
/// or `[dependencies.name]`; also below `[target.'cfg(...)'.dependencies]`.
fn dependencies(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut section = None;
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            let kinds = ["build-dependencies", "dev-dependencies", "dependencies"];
            section = kinds
                .into_iter()
                .find(|k| header == *k || header.ends_with(&format!(".{k}")));
            for kind in kinds {
                if let Some(name) = header.strip_prefix(kind).and_then(|h| h.strip_prefix('.')) {
                    found.push((kind, name));
                }
            }
        } else if let (Some(section), Some((name, _))) = (section, line.split_once('='))
            && !line.starts_with('#')
        {
            found.push((section, name.trim().split('.').next().unwrap_or_default()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_found_in_every_form() {
        let text = "[package]\nname = \"x\"\n[dependencies]\nneap-os.workspace = true\na = \"1\"\n\
                    [dev-dependencies.neap-map]\npath = \"p\"\n[target.'cfg(unix)'.dependencies]\nb = \"1\"\n";
        let names: Vec<&str> = dependencies(text).into_iter().map(|(_, n)| n).collect();
        assert_eq!(names, ["neap-os", "a", "neap-map", "b"]);
        assert_eq!(in_manifest("m", text, &["os"], true).len(), 3);
        assert_eq!(in_manifest("m", text, &["os", "map"], false).len(), 0);
    }
}
