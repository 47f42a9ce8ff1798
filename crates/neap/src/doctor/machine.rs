//! The kernel, its settings, and what stands between it and this process.

use std::env;

use neap_proc::Reading;
use neap_proc::read::{Host, Proc};

use super::limits::missing;
use super::{Check, Group, Status};

/// gVisor's kernel says it is this one, whatever runs below.
const GVISOR: &str = "Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016";
const PAGE_BYTES: u64 = 4096;

pub(super) fn group() -> Group {
    let host = Host::default();
    Group {
        name: "the machine",
        checks: vec![
            page_size(Proc::default().page_bytes()),
            kernel(&host),
            huge_pages(&host),
            seccomp(),
            container(&host),
        ],
    }
}

fn page_size(bytes: u64) -> Check {
    let (status, found) = if bytes == PAGE_BYTES {
        (Status::Ok, "4096 bytes".to_owned())
    } else {
        (
            Status::Missing,
            format!("{bytes} bytes, and neap knows pages of 4096 only"),
        )
    };
    Check::needed("page size", status, found).costs(
        "every malloc under libneap.so fails",
        "use a kernel with pages of 4 KiB",
    )
}

fn kernel(host: &Host) -> Check {
    let (status, found) = match host.text("/proc/version") {
        Reading::Value(text) if text.starts_with(GVISOR) => (
            Status::Limited,
            "gVisor: calls are its own, and figures are its accounts".to_owned(),
        ),
        Reading::Value(_) => {
            let name = rustix::system::uname();
            let release = name.release().to_string_lossy().into_owned();
            let wsl = release.to_ascii_lowercase().contains("microsoft");
            (
                Status::Ok,
                format!("Linux {release}{}", if wsl { ", WSL" } else { "" }),
            )
        }
        ref other => missing(other),
    };
    Check::optional("kernel", status, found).costs(
        "what neap reports of RSS is what the sandbox says, not what the machine uses",
        "measure outside of the sandbox",
    )
}

fn huge_pages(host: &Host) -> Check {
    let (status, found) = match host.chosen("/sys/kernel/mm/transparent_hugepage/enabled") {
        Reading::Value(mode) if mode == "always" => (Status::Limited, mode),
        Reading::Value(mode) => (Status::Ok, mode),
        // A kernel without huge pages has none to be careful of.
        ref other if missing(other).0 == Status::Missing => (Status::Ok, "not in this kernel".to_owned()),
        ref other => missing(other),
    };
    Check::optional("transparent huge pages", status, found).costs(
        "the kernel may back small pages with 2 MiB, also again after some were given back: RSS is higher",
        "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
    )
}

fn seccomp() -> Check {
    let status = Proc::default().status(std::process::id());
    let (status, found) = match status {
        Reading::Value(own) => match own.seccomp {
            Some(0) => (Status::Ok, "no filter".to_owned()),
            Some(1) => (Status::Limited, "strict mode".to_owned()),
            Some(_) => (
                Status::Limited,
                "a filter; the calls above were tried under it".to_owned(),
            ),
            None => (Status::Ok, "not in this kernel".to_owned()),
        },
        ref other => missing(other),
    };
    Check::optional("seccomp", status, found).costs(
        "a filter that kills for clone(2) kills a program whose helper starts",
        "NEAP_HELPER=off, or allow clone(2) in the filter",
    )
}

fn container(host: &Host) -> Check {
    let group = host.text("/proc/self/cgroup").value().unwrap_or_default();
    let inside = Proc::default()
        .status(std::process::id())
        .value()
        .is_some_and(|own| own.pid_inside.is_some() && own.pid_inside != own.pid);
    let named = env::var("container").ok().filter(|name| !name.is_empty());
    let found = if let Some(name) = named {
        name
    } else if host.has("/.dockerenv") {
        "Docker".to_owned()
    } else if host.has("/run/.containerenv") {
        "Podman".to_owned()
    } else if let Some(name) = ["kubepods", "docker", "lxc", "libpod"]
        .into_iter()
        .find(|name| group.contains(name))
    {
        format!("a control group of {name}")
    } else if inside {
        "a pid namespace".to_owned()
    } else {
        "none seen".to_owned()
    };
    Check::optional("container", Status::Ok, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_page_sizes_are_missing_and_not_ok() {
        assert_eq!(page_size(4096).status, Status::Ok);
        assert_eq!(page_size(65536).status, Status::Missing);
    }

    #[test]
    fn a_kernel_without_huge_pages_is_well() {
        assert_eq!(huge_pages(&Host::recorded("/nowhere")).status, Status::Ok);
        assert_eq!(kernel(&Host::recorded("/nowhere")).status, Status::Missing);
    }
}
