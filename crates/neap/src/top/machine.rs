//! The memory of the machine, for the head of the screen.

use neap_proc::parse::{Meminfo, Pressure, Stalled};
use neap_proc::read::Host;
use neap_proc::{Reading, Reason};

/// As free(1) of procps 4.0.1 and later counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MachineMemory {
    /// MemTotal.
    pub(crate) total_bytes: Reading<u64>,
    /// MemTotal − MemAvailable.
    pub(crate) used_bytes: Reading<u64>,
    /// MemAvailable.
    pub(crate) available_bytes: Reading<u64>,
    /// MemFree.
    pub(crate) free_bytes: Reading<u64>,
    /// Buffers + Cached + SReclaimable.
    pub(crate) cache_bytes: Reading<u64>,
    /// SwapTotal; 0 on a machine without swap.
    pub(crate) swap_total_bytes: Reading<u64>,
    /// SwapTotal − SwapFree.
    pub(crate) swap_used_bytes: Reading<u64>,
    /// `some` of /proc/pressure/memory.
    pub(crate) pressure_some: Reading<Stalled>,
    /// `full` of it.
    pub(crate) pressure_full: Reading<Stalled>,
    /// Time since the machine was started.
    pub(crate) up_ns: Reading<u64>,
}

impl MachineMemory {
    /// Reads three small files.
    pub(crate) fn read(host: &Host) -> MachineMemory {
        let meminfo = host.meminfo();
        let pressure = host.pressure();
        let memory = |field: fn(&Meminfo) -> Option<u64>| of(&meminfo, field);
        let stalled = |field: fn(&Pressure) -> Option<Stalled>| of(&pressure, field);
        MachineMemory {
            total_bytes: memory(|m| m.total_bytes),
            used_bytes: memory(Meminfo::used_bytes),
            available_bytes: memory(|m| m.available_bytes),
            free_bytes: memory(|m| m.free_bytes),
            cache_bytes: memory(Meminfo::cache_bytes),
            swap_total_bytes: memory(|m| m.swap_total_bytes),
            swap_used_bytes: memory(Meminfo::swap_used_bytes),
            pressure_some: stalled(|p| p.some),
            pressure_full: stalled(|p| p.full),
            up_ns: host.uptime_ns(),
        }
    }

    /// Before anything was read.
    pub(crate) fn not_yet() -> MachineMemory {
        let none = Reading::Absent(Reason::NotYet);
        MachineMemory {
            total_bytes: none,
            used_bytes: none,
            available_bytes: none,
            free_bytes: none,
            cache_bytes: none,
            swap_total_bytes: none,
            swap_used_bytes: none,
            pressure_some: Reading::Absent(Reason::NotYet),
            pressure_full: Reading::Absent(Reason::NotYet),
            up_ns: none,
        }
    }
}

fn of<T, U>(reading: &Reading<T>, field: impl FnOnce(&T) -> Option<U>) -> Reading<U> {
    match reading {
        Reading::Value(value) => field(value).into(),
        Reading::Denied => Reading::Denied,
        Reading::Absent(reason) => Reading::Absent(*reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_machine_is_read_as_it_was() {
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../proc/tests/fixtures/linux-6.18");
        let memory = MachineMemory::read(&Host::recorded(fixture));
        assert_eq!(memory.total_bytes, Reading::Value(24_684_092 << 10));
        let (total, available) = (memory.total_bytes.value(), memory.available_bytes.value());
        assert_eq!(
            memory.used_bytes.value().unwrap() + available.unwrap(),
            total.unwrap()
        );
        assert_eq!(memory.swap_total_bytes, Reading::Value(0));
        assert!(memory.pressure_some.value().is_some());
        assert_eq!(
            memory.up_ns,
            Reading::Absent(Reason::NotInThisKernel),
            "not recorded"
        );
    }

    #[test]
    fn what_an_old_kernel_lacks_has_a_reason() {
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../proc/tests/fixtures/linux-4.4");
        let memory = MachineMemory::read(&Host::recorded(fixture));
        assert_eq!(memory.pressure_some, Reading::Absent(Reason::NotInThisKernel));
        assert!(memory.used_bytes.value().is_some());
    }
}
