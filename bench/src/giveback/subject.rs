//! Who is measured: an allocator, with the environment that puts a program under it.

use std::path::{Path, PathBuf};

/// One column of the tables.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    /// Becomes `LD_PRELOAD`; none for the C library's own malloc.
    pub(crate) library: Option<PathBuf>,
    /// Its options.
    pub(crate) env: Vec<(String, String)>,
    /// Whether the program calls malloc and free once in 10 ms after the burst: for allocators
    /// without a thread of their own. Everybody else is judged on an idle program.
    pub(crate) calling: bool,
    /// Ours: held to the targets.
    pub(crate) neap: bool,
}

impl Subject {
    /// An allocator with its defaults.
    pub(crate) fn plain(name: &str, library: Option<&Path>) -> Subject {
        Subject {
            name: name.to_owned(),
            library: library.map(Path::to_owned),
            env: Vec::new(),
            calling: false,
            neap: false,
        }
    }

    fn with(mut self, variable: &str, value: &str) -> Subject {
        self.env.push((variable.to_owned(), value.to_owned()));
        self
    }

    /// What is asked of jemalloc so that it gives back soon. The library must be built without a
    /// prefix: with one it reads another variable.
    pub(crate) fn tuned_jemalloc(library: &Path) -> Subject {
        const SOON: &str = "background_thread:true,dirty_decay_ms:100,muzzy_decay_ms:0";
        Subject::plain("jemalloc, tuned", Some(library)).with("MALLOC_CONF", SOON)
    }

    /// neap, as it comes and in its two other modes.
    pub(crate) fn neaps(library: &Path) -> [Subject; 3] {
        let neap = |name: &str| Subject {
            neap: true,
            ..Subject::plain(name, Some(library))
        };
        [
            neap("neap"),
            Subject {
                calling: true,
                ..neap("neap, no helper").with("NEAP_HELPER", "off")
            },
            neap("neap, brk").with("NEAP_BACKEND", "brk"),
        ]
    }
}
