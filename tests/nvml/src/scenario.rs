//! What the library is to say. Every reading that is absent is "not supported".

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of its file, beside the library.
pub const FILE: &str = "scenario.json";

/// A world: what every call answers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// Version of the driver.
    pub driver: String,
    /// What these functions return instead of their answer (nvmlReturn_t), for every device.
    pub failures: BTreeMap<String, u32>,
    /// The devices.
    pub devices: Vec<Device>,
}

/// A device.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)] // each is what nvml.h calls so
pub struct Device {
    pub uuid: String,
    pub name: String,
    pub bus_id: String,
    /// It fell off the bus: every call says so.
    pub lost: bool,
    pub failures: BTreeMap<String, u32>,
    pub utilization: Option<u32>,
    pub memory_utilization: Option<u32>,
    pub encoder: Option<u32>,
    pub decoder: Option<u32>,
    /// Bytes: total, reserved, used.
    pub memory: Option<[u64; 3]>,
    pub temperature: Option<u32>,
    pub power_milliwatts: Option<u32>,
    pub power_limit_milliwatts: Option<u32>,
    pub energy_millijoules: Option<Signal>,
    pub sm_clock_megahertz: Option<u32>,
    pub memory_clock_megahertz: Option<u32>,
    /// KB/s: transmitted, received.
    pub pcie: Option<[u32; 2]>,
    pub fans: Option<Vec<u32>>,
    /// Bits of nvmlClocksThrottleReason…: active.
    pub throttle: Option<u64>,
    pub throttle_supported: Option<u64>,
    /// Corrected, uncorrected.
    pub ecc: Option<[u64; 2]>,
    pub fields: Fields,
    pub processes: Vec<Process>,
    /// What each process had of the device; absent: not supported.
    pub samples: Option<Vec<Sample>>,
    /// MIG instances by their number, which may have holes; absent: MIG is off.
    pub mig: Option<BTreeMap<u32, Mig>>,
    /// Percentages by NVML_GPM_METRIC_…; absent: not supported.
    pub gpm: Option<BTreeMap<u32, f64>>,
    pub events: Vec<Event>,
}

/// Field values.
pub type Fields = Vec<Field>;

/// A field value.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Field {
    pub id: u32,
    pub scope: u32,
    pub value: Signal,
    /// It is a double, not an unsigned long long.
    pub double: bool,
}

/// A MIG instance.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Mig {
    pub uuid: String,
    pub profile: String,
    pub gi: u32,
    pub ci: u32,
    /// Bytes: total, reserved, used.
    pub memory: Option<[u64; 3]>,
    pub gpm: Option<BTreeMap<u32, f64>>,
}

/// A process on a device.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Process {
    pub pid: u32,
    /// The lists that it is in; none is compute.
    pub kinds: Vec<Kind>,
    /// Bytes; absent: not available.
    pub memory: Option<u64>,
    /// GPU and compute instance.
    pub instance: Option<[u32; 2]>,
}

/// A list of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Kind {
    Compute,
    Graphics,
    Mps,
}

/// What a process had of a device for a while.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Sample {
    pub pid: u32,
    pub sm: u32,
    /// Microseconds since 1970; absent: just now, each time.
    pub time: Option<u64>,
}

/// An error that the driver reports.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Event {
    /// Ascending; each is told once, and only to sets that were made before it was there.
    pub id: u64,
    pub xid: u64,
}

/// A number that may grow with time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Signal {
    /// It stands.
    Constant(f64),
    /// It grows.
    Ramp {
        /// When the library was loaded.
        start: f64,
        /// From then on.
        per_second: f64,
    },
}

impl Default for Signal {
    fn default() -> Signal {
        Signal::Constant(0.0)
    }
}

impl Process {
    /// Whether it is in a list.
    #[must_use]
    pub fn is(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind) || (self.kinds.is_empty() && kind == Kind::Compute)
    }
}
