//! What tasks wait for, besides memory.

use super::Host;
use crate::Reading;
use crate::parse::Pressure;

/// What tasks can wait for, as `/proc/pressure` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `/proc/pressure/memory`.
    Memory,
    /// `/proc/pressure/cpu`; its line `full` came with 5.13 and is 0 for the machine.
    Cpu,
    /// `/proc/pressure/io`.
    Io,
}

impl Host {
    /// Time lost for want of `resource` (4.20, CONFIG_PSI).
    pub fn pressure_of(&self, resource: Resource) -> Reading<Pressure> {
        self.pressure_at(match resource {
            Resource::Memory => "/proc/pressure/memory",
            Resource::Cpu => "/proc/pressure/cpu",
            Resource::Io => "/proc/pressure/io",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    #[test]
    fn each_resource_has_a_file_of_its_own() {
        let root = format!("{}/tests/fixtures/linux-6.1", env!("CARGO_MANIFEST_DIR"));
        let host = Host::recorded(root);
        let some = |resource| host.pressure_of(resource).value().unwrap().some.unwrap();
        assert_eq!(some(Resource::Memory).last_10_seconds, 153);
        assert_eq!(some(Resource::Cpu).last_10_seconds, 1205);
        assert_eq!(some(Resource::Io).last_300_seconds, 135);
        let none = Host::recorded("/nowhere").pressure_of(Resource::Io);
        assert_eq!(none, Reading::Absent(Reason::NotInThisKernel));
    }
}
