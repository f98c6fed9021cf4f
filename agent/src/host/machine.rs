//! This machine: its name, its id, its boot. What cannot be read is empty.

use std::fs;

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Its host name; in a container with a name space of its own, the container's.
    pub name: String,
    /// /etc/machine-id.
    pub id: String,
    /// Its processors, as OpenTelemetry calls them (`host.arch`).
    pub arch: &'static str,
    /// Tells this boot from others: the monotonic clock begins with it.
    pub boot: String,
}

impl Machine {
    /// Reads it.
    #[must_use]
    pub fn read() -> Machine {
        let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        Machine {
            name: read("/proc/sys/kernel/hostname"),
            id: read("/etc/machine-id"),
            arch: match std::env::consts::ARCH {
                "x86_64" => "amd64",
                "aarch64" => "arm64",
                other => other,
            },
            boot: read("/proc/sys/kernel/random/boot_id"),
        }
    }
}
