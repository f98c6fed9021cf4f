//! The GPUs of this host at one moment. Plain data: collectors write it, metrics and the join with servers read it.
//!
//! A reading that is not there carries the reason why, and is never 0 instead.

use super::quantity::Readings;
use crate::event::{Nanos, Tgid};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// What was read, or why it could not be.
pub type Reading<T> = Result<T, Absence>;

/// Why there is no number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// It was not read yet, or takes a second sample.
    NotYet,
    /// This device, or its driver, does not tell it.
    Unsupported,
    /// The agent may not read it.
    Denied,
    /// The device fell off the bus, or needs a reset.
    Lost,
    /// It is told for the whole device only.
    WholeDeviceOnly,
    /// The driver said this instead.
    Failed(Arc<str>),
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GpuView {
    /// When it was put together.
    pub time: Nanos,
    /// Where it comes from, and how that stands.
    pub sources: Vec<Source>,
    /// The devices, in the order of their sources.
    pub devices: Vec<Device>,
    /// Whether process ids are of this host's namespace.
    pub pids: Pids,
}

/// Whether the ids of processes on GPUs can be looked up in the agent's /proc.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pids {
    /// The agent is in the host's pid namespace, as the drivers are.
    #[default]
    Host,
    /// It is not: the drivers' ids mean other processes here, or none.
    Foreign,
}

/// A way to read GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name: `nvml`, `drm`.
    pub name: &'static str,
    /// How it stands.
    pub state: SourceState,
}

/// How a source stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// It answers; with the driver's version where that is told.
    Working {
        /// The driver's version.
        driver: Option<Arc<str>>,
        /// What of it does not work, in sentences.
        problems: Vec<String>,
    },
    /// It does not answer, for this reason. The agent tries again.
    Absent(String),
}

/// Who made a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vendor {
    /// NVIDIA.
    #[default]
    Nvidia,
    /// AMD.
    Amd,
    /// Intel.
    Intel,
}

/// One GPU.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Who made it.
    pub vendor: Vendor,
    /// The name of the source that it is read from.
    pub source: &'static str,
    /// How its driver numbers it: `0`, or `card0`.
    pub index: Arc<str>,
    /// Its name for good.
    pub uuid: Arc<str>,
    /// What it is sold as.
    pub name: Arc<str>,
    /// Where on the bus, as `lspci` writes it.
    pub pci: Arc<str>,
    /// What it does.
    pub readings: Readings,
    /// Whether each thing that can slow it down does.
    pub throttle: Reading<BTreeMap<Throttle, bool>>,
    /// Its MIG instances. Where there are any, work runs in them only.
    pub instances: Vec<Instance>,
    /// The processes on it, in the order of their ids.
    pub processes: Reading<Vec<Process>>,
    /// Errors that its driver reported since the agent runs: how often each number.
    pub xids: BTreeMap<u64, Xid>,
}

/// One kind of error that a driver reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Xid {
    /// How often.
    pub count: u64,
    /// When last.
    pub last: Nanos,
}

/// A MIG instance: a compute instance of a GPU instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Instance {
    /// Its name for as long as it exists.
    pub uuid: Arc<str>,
    /// Its size: `1g.10gb`.
    pub profile: Arc<str>,
    /// Which it is.
    pub id: InstanceId,
    /// What it does.
    pub readings: Readings,
}

/// Tells the instances of one device apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstanceId {
    /// GPU instance: has memory of its own.
    pub gpu: u32,
    /// Compute instance in it.
    pub compute: u32,
}

/// A process that has a context on a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// Its id.
    pub tgid: Tgid,
    /// What it has there.
    pub kinds: BTreeSet<Kind>,
    /// The MIG instance that it runs in.
    pub instance: Option<InstanceId>,
    /// Bytes of device memory that it holds.
    pub memory: Reading<u64>,
    /// Percent of the device's time that it had, as its driver sampled it.
    pub sm: Reading<f64>,
    /// Its /proc/PID/comm, "" where it cannot be looked up.
    pub comm: Arc<str>,
    /// Its parent, grandparent, …: nearest first.
    pub ancestors: Arc<[Tgid]>,
}

/// What a process has on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A compute context.
    Compute,
    /// A graphics context.
    Graphics,
    /// A compute context through NVIDIA's multi-process service.
    Mps,
}

/// What slows a device down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Throttle {
    /// Nothing runs.
    Idle,
    /// Clocks that somebody set.
    ApplicationClocks,
    /// The power limit.
    SoftwarePowerCap,
    /// The hardware protects itself.
    HardwareSlowdown,
    /// Another device of its group.
    SyncBoost,
    /// Heat, by the driver.
    SoftwareThermal,
    /// Heat, by the hardware.
    HardwareThermal,
    /// The power supply asked.
    PowerBrake,
    /// Clocks of the display.
    DisplayClocks,
}

/// What a device suffers from, as far as requests care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Too little power.
    Power,
    /// Too much heat.
    Thermal,
    /// Its driver reported an error.
    Xid,
}

impl Absence {
    /// One word, for `/status`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Absence::NotYet => "not_yet",
            Absence::Unsupported => "unsupported",
            Absence::Denied => "denied",
            Absence::Lost => "lost",
            Absence::WholeDeviceOnly => "whole_device_only",
            Absence::Failed(_) => "failed",
        }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Absence::Failed(words) => write!(f, "failed: {words}"),
            other => f.write_str(other.name()),
        }
    }
}

impl Default for Device {
    fn default() -> Device {
        Device {
            vendor: Vendor::default(),
            source: "nvml",
            index: Arc::default(),
            uuid: Arc::default(),
            name: Arc::default(),
            pci: Arc::default(),
            readings: Readings::default(),
            throttle: Err(Absence::NotYet),
            instances: Vec::new(),
            processes: Err(Absence::NotYet),
            xids: BTreeMap::new(),
        }
    }
}

impl Device {
    /// The instance that a process runs in.
    #[must_use]
    pub fn instance(&self, id: InstanceId) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.id == id)
    }

    /// What it suffers from now.
    pub fn conditions(&self) -> BTreeSet<Condition> {
        let active = self.throttle.iter().flatten().filter(|(_, active)| **active);
        active.filter_map(|(throttle, _)| throttle.condition()).collect()
    }
}

impl Vendor {
    /// Label value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Vendor::Nvidia => "nvidia",
            Vendor::Amd => "amd",
            Vendor::Intel => "intel",
        }
    }
}

impl Throttle {
    /// Label value, in NVML's words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Throttle::Idle => "gpu_idle",
            Throttle::ApplicationClocks => "applications_clocks_setting",
            Throttle::SoftwarePowerCap => "sw_power_cap",
            Throttle::HardwareSlowdown => "hw_slowdown",
            Throttle::SyncBoost => "sync_boost",
            Throttle::SoftwareThermal => "sw_thermal_slowdown",
            Throttle::HardwareThermal => "hw_thermal_slowdown",
            Throttle::PowerBrake => "hw_power_brake_slowdown",
            Throttle::DisplayClocks => "display_clock_setting",
        }
    }

    /// Which condition that is. A hardware slowdown may be either, and names its cause beside it.
    #[must_use]
    pub const fn condition(self) -> Option<Condition> {
        match self {
            Throttle::SoftwarePowerCap | Throttle::PowerBrake => Some(Condition::Power),
            Throttle::SoftwareThermal | Throttle::HardwareThermal => Some(Condition::Thermal),
            Throttle::Idle
            | Throttle::ApplicationClocks
            | Throttle::HardwareSlowdown
            | Throttle::SyncBoost
            | Throttle::DisplayClocks => None,
        }
    }
}

impl Condition {
    /// Label value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Condition::Power => "power",
            Condition::Thermal => "thermal",
            Condition::Xid => "xid",
        }
    }
}
