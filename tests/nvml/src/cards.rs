//! For tests: devices as they are sold, and machines of them.

use crate::{Device, Field, Process, Scenario, Signal};

/// 1 GiB.
pub const GIB: u64 = 1 << 30;

/// A device of a Hopper machine, idle.
#[must_use]
pub fn hopper(index: u32) -> Device {
    let field = |id, scope, value| Field { id, scope, value: Signal::Constant(value), double: false };
    Device {
        uuid: format!("GPU-{index:08}-0000-0000-0000-000000000000"),
        name: "NVIDIA H100 80GB HBM3".into(),
        bus_id: format!("00000000:{:02X}:00.0", 0x1b + index),
        utilization: Some(0),
        memory_utilization: Some(0),
        encoder: Some(0),
        decoder: Some(0),
        memory: Some([80 * GIB, GIB / 2, 0]),
        temperature: Some(30 + index),
        power_milliwatts: Some(70_000 + index),
        power_limit_milliwatts: Some(700_000),
        energy_millijoules: Some(Signal::Constant(1e9)),
        sm_clock_megahertz: Some(1980),
        memory_clock_megahertz: Some(2619),
        pcie: Some([1500, 2500]),
        throttle: Some(1),
        throttle_supported: Some(0x1ff),
        ecc: Some([2, 0]),
        fields: vec![
            field(82, 0, 41.0),
            field(138, u32::MAX, 1024.0),
            field(139, u32::MAX, 2048.0),
            field(142, 0, 1.0),
            field(143, 0, 0.0),
        ],
        samples: Some(Vec::new()),
        gpm: Some([(1, 0.0), (2, 0.0), (3, 0.0), (5, 0.0), (10, 0.0)].into()),
        ..Device::default()
    }
}

/// A device of before Volta: no energy, no monitoring, no links.
#[must_use]
pub fn pascal() -> Device {
    Device {
        name: "Tesla P40".into(),
        energy_millijoules: None,
        fans: Some(vec![20, 35]),
        fields: Vec::new(),
        gpm: None,
        ecc: None,
        ..hopper(0)
    }
}

/// A machine of these.
#[must_use]
pub fn machine(devices: Vec<Device>) -> Scenario {
    Scenario { driver: "580.95.05".into(), devices, ..Scenario::default() }
}

/// A process that holds so much.
#[must_use]
pub fn process(pid: u32, gib: u64) -> Process {
    Process { pid, memory: Some(gib * GIB), ..Process::default() }
}
