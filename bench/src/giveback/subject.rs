//! Who is measured here: the rivals of `crate::peers`, tuned jemalloc, and neap in three modes.

use crate::peers::Allocator;
use std::path::PathBuf;

/// One column of the tables.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    /// Becomes `LD_PRELOAD`; none for the C library's own malloc.
    pub(crate) library: Option<PathBuf>,
    /// Its options.
    pub(crate) env: Vec<(String, String)>,
    /// Package and version, for the record.
    pub(crate) version: String,
    /// Whether the program calls malloc and free once in 10 ms after the burst: for allocators
    /// without a thread of their own. Everybody else is judged on an idle program.
    pub(crate) calling: bool,
    /// Ours: held to the targets.
    pub(crate) neap: bool,
}

/// What is asked of jemalloc so that it gives back soon. The library must be built without a prefix:
/// with one it reads another variable.
const SOON: &str = "background_thread:true,dirty_decay_ms:100,muzzy_decay_ms:0";

/// neap as it comes.
pub(crate) const NEAP: &str = "neap";

impl Subject {
    /// No allocator's: for what the machine itself does.
    pub(crate) fn nobody(name: &str) -> Subject {
        Subject {
            name: name.to_owned(),
            library: None,
            env: Vec::new(),
            version: String::new(),
            calling: false,
            neap: false,
        }
    }

    fn of(allocator: &Allocator) -> Subject {
        Subject {
            name: allocator.name.clone(),
            library: allocator.library.clone(),
            env: allocator.env.clone(),
            version: allocator.version.clone(),
            calling: false,
            neap: allocator.is_neap(),
        }
    }

    fn variant(&self, name: &str, variable: &str, value: &str) -> Subject {
        let mut variant = self.clone();
        variant.name = name.to_owned();
        variant.env.push((variable.to_owned(), value.to_owned()));
        variant
    }
}

/// Everybody of `all`, with the variants that matter here; neap last.
pub(crate) fn subjects(all: &[Allocator]) -> Vec<Subject> {
    let mut found: Vec<Subject> = all
        .iter()
        .filter(|a| !a.is_neap() && a.name != "tcmalloc-full")
        .map(Subject::of)
        .collect();
    if let Some(jemalloc) = all.iter().find(|a| a.name == "jemalloc") {
        found.push(Subject::of(jemalloc).variant("jemalloc-tuned", "MALLOC_CONF", SOON));
    }
    if let Some(neap) = all.iter().find(|a| a.name == NEAP).map(Subject::of) {
        let mut calling = neap.variant("neap-nohelper", "NEAP_HELPER", "off");
        calling.calling = true;
        let brk = neap.variant("neap-brk", "NEAP_BACKEND", "brk");
        found.extend([neap, calling, brk]);
    }
    found
}
