//! The machine that a report is about.

use std::fs;

use neap_proc::read::Proc;
use serde::Serialize;

/// What may explain a figure.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) architecture: String,
    pub(crate) processor: Option<String>,
    /// Processors that this process may use.
    pub(crate) processors: Option<usize>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) page_bytes: u64,
    pub(crate) c_library: Option<String>,
    pub(crate) transparent_huge_pages: Option<String>,
}

impl Machine {
    /// This one.
    pub(crate) fn here() -> Machine {
        let name = rustix::system::uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        Machine {
            kernel: format!("{} {}", text(name.sysname()), text(name.release())),
            architecture: text(name.machine()),
            processor: field("/proc/cpuinfo", "model name"),
            processors: std::thread::available_parallelism().ok().map(usize::from),
            memory_bytes: field("/proc/meminfo", "MemTotal")
                .and_then(|text| text.strip_suffix("kB")?.trim().parse::<u64>().ok())
                .and_then(|kilobytes| kilobytes.checked_mul(1024)),
            page_bytes: Proc::default().page_bytes(),
            c_library: crate::doctor::glibc::running().map(|version| format!("glibc {version}")),
            transparent_huge_pages: chosen("/sys/kernel/mm/transparent_hugepage/enabled"),
        }
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        let mut parts = vec![format!("{}, {}", self.kernel, self.architecture)];
        parts.extend(self.processor.clone());
        parts.extend(self.processors.map(|count| format!("{count} processors")));
        parts.extend(
            self.memory_bytes
                .map(|bytes| format!("{} of memory", crate::unit::size(bytes))),
        );
        parts.extend(self.c_library.clone());
        parts.join(", ")
    }
}

/// The value of the first `name : value` of a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}

/// The word in brackets of a list such as `always [madvise] never`.
fn chosen(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_kernel_and_memory() {
        let machine = Machine::here();
        assert!(machine.kernel.starts_with("Linux "), "{}", machine.kernel);
        assert!(machine.memory_bytes.unwrap() > 1 << 20 && machine.processors.unwrap() > 0);
        assert!(machine.line().contains("of memory"));
    }
}
