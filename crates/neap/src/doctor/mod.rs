//! The engine of `neap doctor`: looks at this machine, asks the kernel by doing, changes nothing.
//!
//! Each check has a status, what was found, what it costs when it is not `ok`, and how to mend it. A
//! check that could not be made is `unknown` and says why: never `ok`. What neap needs decides the exit code;
//! what it can do without does not.

pub(crate) mod glibc;

pub(crate) mod burst;
pub(crate) mod calls;

mod library;
mod limits;
mod machine;
mod processes;

use std::path::Path;

use serde::Serialize;

/// Changes when a field changes its meaning or goes away; new fields do not change it.
pub(crate) const SCHEMA: &str = "neap.doctor/1";

/// What it costs to go without something that only later versions, or other tools, use.
const NOTHING: &str = "nothing in this version depends on it";

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// As it should be.
    Ok,
    /// It is there, with a limit that may be felt.
    Limited,
    /// It is not there.
    Missing,
    /// It is there, and kept from this process.
    Denied,
    /// It could not be learnt.
    Unknown,
}

/// Whether neap works without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Need {
    Needed,
    Optional,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) need: Need,
    pub(crate) status: Status,
    /// What was found, or why nothing was.
    pub(crate) found: String,
    /// What it costs when it is not ok.
    pub(crate) cost: &'static str,
    /// How to mend it.
    pub(crate) mend: &'static str,
}

/// Checks that belong together.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) checks: Vec<Check>,
}

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Examination {
    pub(crate) schema: &'static str,
    pub(crate) neap_version: &'static str,
    pub(crate) verdict: String,
    pub(crate) machine: String,
    /// Whatever neap needs is ok, or there with a limit.
    pub(crate) healthy: bool,
    pub(crate) groups: Vec<Group>,
}

impl Check {
    /// A check that neap can do without.
    pub(crate) fn optional(name: impl Into<String>, status: Status, found: impl Into<String>) -> Check {
        Check {
            name: name.into(),
            need: Need::Optional,
            status,
            found: found.into(),
            cost: "",
            mend: "",
        }
    }

    /// A check that must not fail.
    pub(crate) fn needed(name: impl Into<String>, status: Status, found: impl Into<String>) -> Check {
        Check {
            need: Need::Needed,
            ..Check::optional(name, status, found)
        }
    }

    /// With what it costs when it is not ok, and how to mend that.
    pub(crate) fn costs(self, cost: &'static str, mend: &'static str) -> Check {
        Check { cost, mend, ..self }
    }

    fn fails(&self) -> bool {
        self.need == Need::Needed && matches!(self.status, Status::Missing | Status::Denied | Status::Unknown)
    }
}

/// Looks at everything.
pub(crate) fn examine(library: Option<&Path>, machine: String) -> Examination {
    let answers = calls::answers();
    let groups = vec![
        library::group(library),
        calls::heap_group(&answers),
        processes::group(&answers),
        limits::group(),
        machine::group(),
        calls::further_group(&answers),
    ];
    let failed: Vec<&str> = groups
        .iter()
        .flat_map(|group| &group.checks)
        .filter(|check| check.fails())
        .map(|check| check.name.as_str())
        .collect();
    let checks = groups.iter().flat_map(|group| &group.checks);
    let felt = checks
        .filter(|check| check.status != Status::Ok && check.cost != NOTHING)
        .count();
    let verdict = if !failed.is_empty() {
        format!("neap will not work here as it should: {}", failed.join(", "))
    } else {
        match felt {
            0 => "neap works here".to_owned(),
            1 => "neap works here; 1 thing that is not ok may be felt".to_owned(),
            _ => format!("neap works here; {felt} things that are not ok may be felt"),
        }
    };
    Examination {
        schema: SCHEMA,
        neap_version: env!("CARGO_PKG_VERSION"),
        verdict,
        machine,
        healthy: failed.is_empty(),
        groups,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_and_not_there_fails() {
        for (status, fails) in [
            (Status::Ok, false),
            (Status::Limited, false),
            (Status::Missing, true),
            (Status::Denied, true),
            (Status::Unknown, true),
        ] {
            assert_eq!(Check::needed("x", status, "").fails(), fails);
            assert!(!Check::optional("x", status, "").fails());
        }
    }
}
